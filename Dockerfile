# dockernet-doctor in a container; docs/install.md has the one line that runs it. Built after `make dist`:
#
#     docker build -t dockernet-doctor .
#
# BASE is any image with a shell. One that holds iptables and nft already gets nothing installed.
ARG BASE=debian:12-slim
FROM ${BASE}
RUN command -v iptables-save >/dev/null && command -v nft >/dev/null || \
    { apt-get update && apt-get install -y --no-install-recommends iptables nftables && rm -rf /var/lib/apt/lists/*; }
COPY dist/dockernet-doctor /usr/local/bin/dockernet-doctor
ENTRYPOINT ["/usr/local/bin/dockernet-doctor"]
