//! A request's body as it comes from the socket: a client that stops sending is cut off, and what nobody read is
//! taken in for a moment, so that an early answer reaches the client.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long the rest of an upload is taken in and thrown away after an early answer such as 413. If the connection were
/// closed at once, the reset could overtake the answer (nginx calls it a lingering close).
const LINGER: Duration = Duration::from_secs(5);

/// The client sent nothing for longer than `http.idle_timeout_ms`.
#[derive(Debug, thiserror::Error)]
#[error("the client sent nothing for {} s in the middle of its request", .idle.as_secs_f32())]
pub struct ClientStalled {
    idle: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client stalled")]
    Stalled(#[source] ClientStalled),
    #[error("the request ended early: {0}")]
    Connection(#[source] hyper::Error),
}

/// How far a request's body is. It tells a slow client from a slow handler.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    last_ms: AtomicU64,
    waiting: AtomicBool,
}

impl Progress {
    fn new() -> Self {
        Self { started: Instant::now(), last_ms: AtomicU64::new(0), waiting: AtomicBool::new(false) }
    }

    fn moved(&self) {
        self.last_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.waiting.store(false, Ordering::Relaxed);
    }

    /// When the server has been busy for `limit` without waiting for the client.
    pub(crate) fn deadline(&self, limit: Duration) -> Instant {
        if self.waiting.load(Ordering::Relaxed) {
            return Instant::now() + limit;
        }
        self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + limit
    }
}

/// See the module.
pub(crate) struct RequestBody {
    /// `None` once it has ended or broken.
    inner: Option<Incoming>,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
    /// Reading would make hyper send `100 Continue`, which asks for the very bytes that nobody wants.
    may_drain: bool,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, idle: Duration, expects_continue: bool) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::new());
        let inner = (!inner.is_end_stream()).then_some(inner);
        (Self { inner, idle, timer: None, progress: progress.clone(), may_drain: !expects_continue }, progress)
    }

    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<ClientStalled> {
        let idle = self.idle;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        timer.as_mut().poll(context).map(|()| ClientStalled { idle })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(context);
        self.may_drain = true;
        match polled {
            Poll::Ready(frame) => {
                self.timer = None;
                self.progress.moved();
                if !matches!(frame, Some(Ok(_))) {
                    self.inner = None;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Connection)))
            }
            Poll::Pending => {
                self.progress.waiting.store(true, Ordering::Relaxed);
                let stalled = std::task::ready!(self.poll_idle(context));
                self.progress.moved();
                self.inner = None;
                Poll::Ready(Some(Err(BodyError::Stalled(stalled))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.progress.moved();
        let unread = self.inner.take().filter(|inner| self.may_drain && !inner.is_end_stream());
        if let (Some(mut unread), Ok(runtime)) = (unread, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LINGER, async move { while let Some(Ok(_)) = unread.frame().await {} }));
        }
    }
}
