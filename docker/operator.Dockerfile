# `imagesearch-operator`: what turns an ImageSearchStack into running services.
#
#   docker build -f docker/operator.Dockerfile -t imagesearch-operator:0.1.0 .
#   … --platform linux/arm64    for another kind of processor, emulated where it isn't the machine's own
#
# Each base image is an argument, and so is where the program comes from: ARTIFACTS names the stage that builds it here, or an
# image that holds what was built elsewhere (imagesearch-operator).
ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot
ARG ARTIFACTS=built

FROM ${RUST_IMAGE} AS rust
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
ARG CARGO_CHEF_VERSION=0.1.78
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --locked cargo-chef@${CARGO_CHEF_VERSION}
WORKDIR /source

FROM rust AS plan
COPY . .
RUN cargo chef prepare --recipe-path /plan.json

FROM rust AS compile
COPY --from=plan /plan.json /plan.json
# Dependencies are a layer of their own: they are compiled again only when they change.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo chef cook --release --locked --package imagesearch-operator --recipe-path /plan.json
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --package imagesearch-operator \
    && strip --strip-all target/release/imagesearch-operator

FROM scratch AS built
COPY --from=compile /source/target/release/imagesearch-operator /imagesearch-operator

FROM ${ARTIFACTS} AS artifacts

FROM ${RUNTIME_IMAGE}
COPY --from=artifacts /imagesearch-operator /usr/local/bin/imagesearch-operator
# Health and metrics.
EXPOSE 9090
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/imagesearch-operator"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imagesearch-operator" \
      org.opencontainers.image.description="Turns an ImageSearchStack into running services on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
