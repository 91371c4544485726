# Stands in for milvusdb/milvus:v2.3.5: the same version of the server with its libraries, from its Python package, its settings
# as the published image has them, and a curl.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*
COPY bin/milvus /milvus/bin/milvus
COPY bin /milvus/lib
COPY config.yaml.template glog.conf /milvus/configs/
# The package's settings are a template, `{{ name: default }}` or `{{ name(type): default }}`.
RUN rm /milvus/lib/milvus && cd /milvus/configs && sed \
    -e 's#{{ *etcd_data_dir *}}#/var/lib/milvus/etcd#; s#{{ *local_storage_dir *}}#/var/lib/milvus/data#' \
    -e 's#{{ *rocksmq_data_dir *}}#/var/lib/milvus/rdb_data#; s#{{ *system_log_path *}}##' \
    -e 's#{{ *[a-z_]*\(([a-z]*)\)\{0,1\}: *\([^ }]*\) *}}#\2#' \
    config.yaml.template >milvus.yaml && rm config.yaml.template
ENV PATH=/milvus/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LD_LIBRARY_PATH=/milvus/lib
WORKDIR /milvus
CMD ["milvus", "run", "standalone"]
