# Stands in for rust:1.95.0-bookworm: the same version of Rust, from this machine's toolchain, with Debian's compilers and what
# this machine needs to reach its package registries.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
    ca-certificates curl g++ gcc git libc6-dev make pkg-config python3 \
    && rm -rf /var/lib/apt/lists/*
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
COPY toolchain/bin /usr/local/cargo/bin
COPY toolchain/lib /usr/local/cargo/lib
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
