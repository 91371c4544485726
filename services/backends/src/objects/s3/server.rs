//! Where tests find their S3.

use shared::config::S3;
use uuid::Uuid;

/// Settings for a namespace of its own on the server that tests share.
pub(super) async fn settings() -> S3 {
    settings_at(&servers::shared_s3().await)
}

pub(super) fn settings_at(endpoint: &str) -> S3 {
    S3 {
        prefix: Some(Uuid::new_v4().to_string()),
        part_size_bytes: 5 << 20,
        ..servers::settings_at(endpoint, "imagesearch-tests")
    }
}
