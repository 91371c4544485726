//! Single requests to the bucket.

use std::{ops::Range, sync::atomic::AtomicBool, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{
        Builder, ResponseChecksumValidation,
        http::HttpResponse,
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction},
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        abort_multipart_upload::AbortMultipartUploadError, get_object::GetObjectError, head_object::HeadObjectError,
        put_object::PutObjectError,
    },
    primitives::{ByteStream, DateTime},
    types::ServerSideEncryption,
};
use bytes::{Bytes, BytesMut};
use camino::Utf8PathBuf;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::{connection::deadline, fault::status};
use crate::objects::{ETag, ObjectError, ObjectInfo, ObjectKey, ObjectStream, PutCondition};

/// Below the prefix: what is no object yet. No key begins with a dot, so it can't be one.
const STAGING: &str = ".staging/";

pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
    /// Empty, or with a closing `/`.
    pub(super) prefix: String,
    /// What errors call it.
    pub(super) place: String,
    pub(super) encryption: Option<ServerSideEncryption>,
    pub(super) kms_key_id: Option<String>,
    /// Where parts wait while they are filled.
    pub(super) folder: Utf8PathBuf,
    pub(super) part_bytes: usize,
    /// For parts of uploads that are brought back into memory to be sent. Who has one waits for the store alone, within its
    /// deadline, never for a client or for a second place: so everybody gets a turn.
    pub(super) places: Semaphore,
    /// Whether the store copies parts into an upload that is to have a checksum of the whole; MinIO doesn't.
    pub(super) sums_up_copies: AtomicBool,
    /// How long an answer, or the next piece of one, may take.
    pub(super) timeout: Duration,
}

impl Bucket {
    pub(super) fn path(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key of what lies at a path; `None` for what is no object.
    pub(super) fn key(&self, path: &str) -> Option<ObjectKey> {
        ObjectKey::new(path.strip_prefix(&self.prefix)?).ok()
    }

    pub(super) fn staging(&self) -> String {
        format!("{}{STAGING}", self.prefix)
    }

    /// Settings of a call that moves this many bytes.
    pub(super) fn patience(&self, size_bytes: u64) -> Builder {
        Builder::new().timeout_config(deadline(self.timeout, size_bytes))
    }

    /// Writes an object; `None`, and nothing is changed, when the condition does not hold.
    pub(super) async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        condition: &PutCondition,
    ) -> Result<Option<ETag>, ObjectError> {
        let mut settings = self.patience(bytes.len() as u64);
        let mut request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(path)
            .set_server_side_encryption(self.encryption.clone())
            .set_ssekms_key_id(self.kms_key_id.clone())
            .body(bytes.into());
        match condition {
            PutCondition::None => {}
            PutCondition::Absent => request = request.if_none_match("*"),
            PutCondition::Matches(etag) => request = request.if_match(&etag.0),
        }
        if *condition != PutCondition::None {
            settings = settings.retry_classifier(OnlyUndone);
        }
        match request.customize().config_override(settings).send().await {
            Ok(answer) => match answer.e_tag {
                Some(etag) => Ok(Some(ETag(etag))),
                None => Err(self.unavailable(path, "the store gives no entity tags", "an answer without ETag")),
            },
            Err(error) if *condition != PutCondition::None && is_unmet(&error) => Ok(None),
            Err(error) => Err(self.fault(path, error)),
        }
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectError> {
        let path = self.path(key);
        match self.client.head_object().bucket(&self.name).key(&path).send().await {
            Ok(found) => {
                let size_bytes = found.content_length.unwrap_or_default() as u64;
                self.info(key, size_bytes, found.e_tag, found.last_modified).map(Some)
            }
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
            Err(error) => Err(self.fault(&path, error)),
        }
    }

    pub(super) async fn get(
        &self,
        key: &ObjectKey,
        limit_bytes: u64,
    ) -> Result<Option<(ObjectInfo, Bytes)>, ObjectError> {
        let Some((info, body)) = self.open(key, None).await? else { return Ok(None) };
        if info.size_bytes > limit_bytes {
            return Err(ObjectError::TooLarge { key: key.clone(), size_bytes: info.size_bytes, limit_bytes });
        }
        let mut pieces = self.pieces(body, key.to_string());
        let mut bytes = BytesMut::with_capacity(info.size_bytes as usize);
        while let Some(piece) = pieces.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Some((info, bytes.freeze())))
    }

    pub(super) async fn read(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ObjectStream)>, ObjectError> {
        // HTTP can't ask for no bytes.
        if range.as_ref().is_some_and(Range::is_empty) {
            let info = self.head(key).await?;
            return Ok(info.map(|info| (info, stream::empty().boxed())));
        }
        let opened = self.open(key, range).await?;
        Ok(opened.map(|(info, body)| (info, self.pieces(body, key.to_string()))))
    }

    /// One request for all bytes, so that they are of one object, whatever takes its place meanwhile.
    async fn open(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectInfo, ByteStream)>, ObjectError> {
        let path = self.path(key);
        let mut request = self.client.get_object().bucket(&self.name).key(&path);
        let mut settings = Builder::new();
        if let Some(Range { start, end }) = range {
            request = request.range(format!("bytes={start}-{}", end - 1));
            // What a store knows is the checksum of the whole.
            settings = settings.response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        let found = match request.customize().config_override(settings).send().await {
            Ok(found) => found,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
            Err(error) => return Err(self.fault(&path, error)),
        };
        let whole = found.content_range.as_deref().and_then(|range| range.rsplit('/').next()?.parse().ok());
        let size_bytes = whole.unwrap_or(found.content_length.unwrap_or_default() as u64);
        let info = self.info(key, size_bytes, found.e_tag, found.last_modified)?;
        Ok(Some((info, found.body)))
    }

    /// The pieces of a body, each with a deadline from when it is asked for: who reads slowly is not hurried.
    pub(super) fn pieces(&self, body: ByteStream, what: String) -> ObjectStream {
        let (place, timeout) = (self.place.clone(), self.timeout);
        stream::try_unfold(body, move |mut body| {
            let context = format!("{place}: {what}: the answer broke off");
            async move {
                let fault = |source| ObjectError::Unavailable { context, source };
                match tokio::time::timeout(timeout, body.next()).await {
                    Ok(None) => Ok(None),
                    Ok(Some(Ok(piece))) => Ok(Some((piece, body))),
                    Ok(Some(Err(error))) => Err(fault(error.into())),
                    Err(elapsed) => Err(fault(elapsed.into())),
                }
            }
        })
        .boxed()
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), ObjectError> {
        let deleted = self.client.delete_object().bucket(&self.name).key(path).send().await;
        deleted.map(drop).map_err(|error| self.fault(path, error))
    }

    /// Ends a multipart upload without an object, unless it has ended already.
    pub(super) async fn abort(&self, path: &str, upload_id: &str) -> Result<(), ObjectError> {
        let request = self.client.abort_multipart_upload().bucket(&self.name).key(path).upload_id(upload_id);
        match request.send().await {
            Ok(_) => Ok(()),
            // Several processes sweep one bucket.
            Err(error) if error.as_service_error().is_some_and(AbortMultipartUploadError::is_no_such_upload) => Ok(()),
            Err(error) => Err(self.fault(path, error)),
        }
    }

    /// Writes a few bytes aside, and reads them back.
    pub(super) async fn write_and_read(&self) -> Result<(), ObjectError> {
        let path = format!("{}ready", self.staging());
        self.put(&path, Bytes::from_static(b"ready"), &PutCondition::None).await?;
        let found = self.client.get_object().bucket(&self.name).key(&path).send().await;
        let found = found.map_err(|error| self.fault(&path, error))?;
        self.pieces(found.body, path).try_for_each(async |_| Ok(())).await
    }

    pub(super) fn info(
        &self,
        key: &ObjectKey,
        size_bytes: u64,
        etag: Option<String>,
        modified: Option<DateTime>,
    ) -> Result<ObjectInfo, ObjectError> {
        let etag = etag.ok_or_else(|| {
            self.unavailable(key.as_str(), "the store gives no entity tags", "an answer without ETag")
        })?;
        let modified = modified.and_then(|time| Timestamp::new(time.secs(), time.subsec_nanos() as i32).ok());
        let modified = modified.unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(ObjectInfo { key: key.clone(), size_bytes, etag: ETag(etag), modified })
    }
}

/// Whether a conditional put was refused since its condition does not hold, or somebody else writes at this moment.
fn is_unmet(error: &SdkError<PutObjectError, HttpResponse>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    status(error) == Some(412) || matches!(code, Some("ConditionalRequestConflict" | "NoSuchKey"))
}

/// A conditional put whose answer was lost is not sent again: the second one would meet what the first one wrote, and take
/// it for somebody else's. Only a store that says that it did nothing is asked again.
#[derive(Debug)]
struct OnlyUndone;

impl ClassifyRetry for OnlyUndone {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(429 | 503) => RetryAction::NoActionIndicated,
            _ => RetryAction::RetryForbidden,
        }
    }

    fn name(&self) -> &'static str {
        "only what was not done"
    }
}
