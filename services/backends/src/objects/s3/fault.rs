//! What the store's refusals mean for who runs it.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::bucket::Bucket;
use crate::objects::ObjectError;

impl Bucket {
    /// A call that failed while it did `what`.
    pub(super) fn fault<E>(&self, what: &str, error: SdkError<E, HttpResponse>) -> ObjectError
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let status = status(&error);
        let code = error.as_service_error().and_then(|error| error.code().map(str::to_owned));
        if status == Some(507) || code.as_deref().is_some_and(is_full) {
            return ObjectError::Full(what.to_owned());
        }
        let advice = match (code.as_deref(), status) {
            (Some("NoSuchBucket"), _) => "the bucket isn't there; make it, or set objects.create_bucket",
            (Some("InvalidAccessKeyId" | "SignatureDoesNotMatch"), _) => {
                "the key is wrong; check objects.access_key_id, objects.secret_access_key and objects.region"
            }
            (Some("RequestTimeTooSkewed"), _) => "this machine's clock is wrong",
            (_, Some(401 | 403)) => {
                "access is denied; check the key, and that it may list the bucket, read, write and delete"
            }
            (_, Some(301)) => "the bucket is in another region; check objects.region",
            (_, Some(503)) => "the store asks for fewer requests",
            (_, Some(_)) => "the store refused",
            (_, None) if lacks_credentials(&error) => {
                "there are no credentials; set objects.access_key_id and objects.secret_access_key, or what the AWS SDK looks for"
            }
            (_, None) => "no answer; check objects.endpoint, the network, and that the store runs",
        };
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        self.unavailable(what, &format!("{advice}{code}"), cause(error))
    }

    pub(super) fn unavailable(
        &self,
        what: &str,
        advice: &str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> ObjectError {
        ObjectError::Unavailable { context: format!("{}: {what}: {advice}", self.place), source: source.into() }
    }
}

pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Nothing was sent, because nobody knows how to sign it.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(lacks_credentials)
}

fn is_full(code: &str) -> bool {
    code.contains("QuotaExceeded") || matches!(code, "XMinioStorageFull" | "InsufficientStorage")
}

/// Without the raw response, whose headers and body would drown a log.
fn cause<E: Error + Send + Sync + 'static>(error: SdkError<E, HttpResponse>) -> Box<dyn Error + Send + Sync> {
    match error {
        SdkError::ServiceError(refusal) => refusal.into_err().into(),
        other => other.into(),
    }
}
