-- Run once by root: the two databases of the C system, and the rights of our user (made before, with its password).
-- The tables are made by `vx db init etc/matchengine.toml`.
CREATE DATABASE IF NOT EXISTS trade_log CHARACTER SET utf8mb3;
CREATE DATABASE IF NOT EXISTS trade_history CHARACTER SET utf8mb3;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON trade_log.* TO 'vx'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON trade_history.* TO 'vx'@'%';
