# `imagesearch`: every role, the command line, the page, the bundled model and ONNX Runtime.
#
#   docker build -f docker/imagesearch.Dockerfile -t imagesearch:0.1.0 .
#   … --platform linux/arm64    for another kind of processor, emulated where it isn't the machine's own
#   … --target dev              with a shell and tar, for development in a cluster
#
# Each base image is an argument, and so is where the program comes from: ARTIFACTS names the stage that builds it here, or an
# image that holds what was built elsewhere (imagesearch, libonnxruntime.so, empty/).
ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG NODE_IMAGE=node:24.9.0-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot
ARG DEV_IMAGE=debian:bookworm-slim
ARG ARTIFACTS=built

FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS page
WORKDIR /page
COPY services/frontend/package.json services/frontend/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund --loglevel=error
COPY services/frontend ./
RUN npm run build

FROM ${RUST_IMAGE} AS rust
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake nasm python3-pip \
    && rm -rf /var/lib/apt/lists/*
ARG CARGO_CHEF_VERSION=0.1.78
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --locked cargo-chef@${CARGO_CHEF_VERSION}
WORKDIR /source

FROM rust AS plan
COPY . .
RUN cargo chef prepare --recipe-path /plan.json

FROM rust AS onnxruntime
COPY scripts/install-onnxruntime scripts/
RUN cp "$(IMAGESEARCH_CACHE=/cache scripts/install-onnxruntime)" /libonnxruntime.so

FROM rust AS compile
COPY --from=plan /plan.json /plan.json
# Dependencies are a layer of their own: they are compiled again only when they change.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo chef cook --release --locked --package imagesearch --recipe-path /plan.json
COPY . .
COPY --from=page /page/dist services/frontend/dist
# Names of functions are a sixth of the program. Stripped here and not by cargo, which would compile the dependencies again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --package imagesearch \
    && strip --strip-all target/release/imagesearch \
    && mkdir /empty

FROM scratch AS built
COPY --from=compile /source/target/release/imagesearch /imagesearch
COPY --from=onnxruntime /libonnxruntime.so /libonnxruntime.so
COPY --from=compile /empty /empty

FROM ${ARTIFACTS} AS artifacts

FROM ${RUNTIME_IMAGE} AS release
COPY --from=artifacts /imagesearch /usr/local/bin/imagesearch
COPY --from=artifacts /libonnxruntime.so /usr/local/lib/libonnxruntime.so
# A new volume takes over the owner of the folder that it is mounted on.
COPY --from=artifacts --chown=65532:65532 /empty /data
COPY --from=artifacts --chown=65532:65532 /empty /keys
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so \
    IMAGESEARCH_DATA_DIR=/data \
    IMAGESEARCH_INGESTAPI__LISTEN=0.0.0.0:8000 \
    IMAGESEARCH_SEARCHAPI__LISTEN=0.0.0.0:8001 \
    IMAGESEARCH_CDNAPI__LISTEN=0.0.0.0:8002 \
    IMAGESEARCH_FRONTEND__LISTEN=0.0.0.0:3000 \
    IMAGESEARCH_ADMIN__LISTEN=0.0.0.0:9090
USER 65532:65532
WORKDIR /data
HEALTHCHECK --interval=5s --timeout=5s --start-period=2m CMD ["/usr/local/bin/imagesearch", "health"]
ENTRYPOINT ["/usr/local/bin/imagesearch"]
CMD ["--help"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="imagesearch" \
      org.opencontainers.image.description="Image search by words and by pictures: every role and the command line" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"

FROM ${DEV_IMAGE} AS tools
# Nothing is fetched when the image has one.
RUN [ -x /bin/busybox ] || { apt-get update && apt-get install -y --no-install-recommends busybox-static; }

FROM release AS dev
USER 0
COPY --from=tools /bin/busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
# A new build can be put beside the data and started while the container runs.
COPY docker/dev-entrypoint /usr/local/bin/dev-entrypoint
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/dev-entrypoint"]

FROM release
