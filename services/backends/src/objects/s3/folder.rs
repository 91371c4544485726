//! Files of any bucket of the same store, under the names that they have: a model that somebody put there. Nothing is
//! written.

use camino::Utf8Path;
use embedding::source::{RemoteBytes, RemoteError, RemoteFile, RemoteFiles};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use shared::config::S3;

use super::{bucket::Bucket, opening::bucket_of};
use crate::objects::ObjectError;

/// No model has as many; the bucket may be somebody's whole archive.
const MAX_FILES: usize = 10_000;

pub struct S3Folder {
    bucket: Bucket,
}

impl S3Folder {
    /// The address and the credentials are those of `config`, the bucket and its folder are not.
    pub async fn open(config: &S3, bucket: &str, folder: &str) -> Result<Self, ObjectError> {
        let config = S3 { bucket: bucket.to_owned(), prefix: Some(folder.to_owned()), ..config.clone() };
        Ok(Self { bucket: bucket_of(&config, Utf8Path::new("")).await? })
    }

    async fn list_all(&self) -> Result<Vec<RemoteFile>, RemoteError> {
        let Bucket { client, name, prefix, .. } = &self.bucket;
        let mut files = Vec::new();
        let mut after = None;
        loop {
            let request = client.list_objects_v2().bucket(name).prefix(prefix).set_start_after(after.take());
            let page = request.send().await.map_err(|error| self.bucket.fault(prefix, error))?;
            for object in page.contents() {
                let Some(path) = object.key() else { continue };
                after = Some(path.to_owned());
                let path = path.strip_prefix(prefix.as_str()).unwrap_or_default();
                // Some tools mark folders by empty objects.
                if !path.is_empty() && !path.ends_with('/') {
                    files.push(RemoteFile {
                        path: path.to_owned(),
                        size_bytes: object.size().unwrap_or_default() as u64,
                        version: object.e_tag().unwrap_or_default().to_owned(),
                        checksum: None,
                    });
                }
            }
            if files.len() > MAX_FILES {
                return Err(format!("there are over {MAX_FILES} files; name the folder of the model").into());
            }
            if !page.is_truncated.unwrap_or(false) || after.is_none() {
                return Ok(files);
            }
        }
    }

    async fn stream(&self, path: &str) -> Result<RemoteBytes, RemoteError> {
        let Bucket { client, name, prefix, .. } = &self.bucket;
        let path = format!("{prefix}{path}");
        let found = client.get_object().bucket(name).key(&path).send().await;
        let found = found.map_err(|error| self.bucket.fault(&path, error))?;
        Ok(self.bucket.pieces(found.body, path).map_err(RemoteError::from).boxed())
    }
}

impl RemoteFiles for S3Folder {
    fn list(&self) -> BoxFuture<'_, Result<Vec<RemoteFile>, RemoteError>> {
        Box::pin(self.list_all())
    }

    fn read<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<RemoteBytes, RemoteError>> {
        Box::pin(self.stream(path))
    }
}
