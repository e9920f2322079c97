"""Real servers for tests: private MariaDB, Redis with sentinels and Apache Kafka on free loopback ports.

    installed?  --no-->  the tests that need it are skipped, and the end of the run says so and how to get it
                --yes->  one instance per run (fixtures.py), or one of a test's own, to be stopped and killed

Nothing here is mocked. Each server keeps its files in a directory given to it, and dies with the process
that started it. Addresses of servers that run already: VX_TEST_MYSQL, VX_TEST_REDIS, VX_TEST_KAFKA.
"""
