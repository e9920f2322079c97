# All processes of ours under supervisord: settings in etc/, the exchange itself in data/, a volume.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /opt/vx
RUN python -m venv .venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY vxnet vxnet
COPY vxutils vxutils
COPY matchengine matchengine
COPY marketprice marketprice
COPY gateways gateways
RUN .venv/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /opt/vx vx && mkdir --parents /opt/vx/data && chown vx: /opt/vx /opt/vx/data
WORKDIR /opt/vx
COPY --from=build /opt/vx/.venv .venv
COPY supervisord.conf ./
COPY etc/production/*.toml etc/
ENV PATH=/opt/vx/.venv/bin:$PATH
USER vx
VOLUME /opt/vx/data
# Three minutes to stop: the engine writes a slice, the recorder what is left.
STOPSIGNAL SIGTERM
CMD ["supervisord", "-c", "supervisord.conf"]
