//! The name of a request: in its response, in every log line and in every problem.

use std::{future::Future, sync::Arc};

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// The id of the request that this task answers.
pub fn current() -> Option<Arc<str>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Runs `future` so that [`current`] gives `id` in it.
pub(crate) async fn scope<F: Future>(id: Arc<str>, future: F) -> F::Output {
    CURRENT.scope(id, future).await
}

/// The client's own id if it is a sane one, else a new one. Anything else could forge log lines.
pub(crate) fn of(headers: &HeaderMap) -> Arc<str> {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    match headers.get(HEADER).and_then(|value| value.to_str().ok()).filter(sane) {
        Some(id) => id.into(),
        None => Uuid::now_v7().to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(sent: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, sent.parse().expect("a header value"));
        of(&headers).to_string()
    }

    #[test]
    fn only_a_sane_id_is_taken_over() {
        assert_eq!(id_for("b7ad6b71-6920:3.x"), "b7ad6b71-6920:3.x");
        for odd in ["", "two words", "quote\"", &"long".repeat(33)] {
            assert_ne!(id_for(odd), odd);
            assert!(Uuid::parse_str(&id_for(odd)).is_ok());
        }
    }
}
