//! What the operator assumes where a resource says nothing: given by its command line, so that the chart that brings the
//! operator brings the images along.

use clap::Args;

/// Images and surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Defaults {
    /// Image of the roles.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_IMAGE", default_value = concat!("imagesearch:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// Image of the page.
    #[arg(
        long,
        env = "IMAGESEARCH_OPERATOR_FRONTEND_IMAGE",
        default_value = concat!("imagesearch-frontend:", env!("CARGO_PKG_VERSION"))
    )]
    pub frontend_image: String,
    /// Image of managed queues.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_NATS_IMAGE", default_value = "docker.io/library/nats:2.15.1-alpine")]
    pub nats_image: String,
    /// Image of managed indexes.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_MILVUS_IMAGE", default_value = "docker.io/milvusdb/milvus:v2.3.5")]
    pub milvus_image: String,
    /// Image of managed object stores with the engine MinIO.
    #[arg(
        long,
        env = "IMAGESEARCH_OPERATOR_MINIO_IMAGE",
        default_value = "docker.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"
    )]
    pub minio_image: String,
    /// Image of managed object stores with the engine SeaweedFS.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_SEAWEEDFS_IMAGE", default_value = "docker.io/chrislusf/seaweedfs:4.53")]
    pub seaweedfs_image: String,
    /// The cluster's DNS domain.
    #[arg(long, env = "IMAGESEARCH_OPERATOR_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// The operator's own namespace, from which managed queues may be asked for their lag.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub namespace: String,
}
