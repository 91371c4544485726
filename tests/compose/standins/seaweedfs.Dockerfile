# Stands in for chrislusf/seaweedfs: the same program, built from its Go module, and a curl.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*
COPY weed /usr/bin/weed
ENTRYPOINT ["weed"]
