//! Serving: one middleware stack for every server, and a listener that cuts off slow clients and ends gracefully.

use std::{any::Any, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, Request},
    http::{HeaderValue, header},
    middleware::{from_fn, from_fn_with_state},
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
    csrf::CsrfLayer,
    set_header::SetResponseHeaderLayer,
};

use super::{
    auth::{Auth, OpenBeyondLoopback},
    body::RequestBody,
    errors, guard,
    observe::{self, Observer},
    routes::{LayeredRoutes, Routes},
    socket::StallGuard,
};
use crate::{
    config::Http,
    metrics::limit::{self, Resource},
    telemetry::Metrics,
};

/// Bodies of routes that set no limit of their own with [`DefaultBodyLimit::max`].
const MAX_BODY_BYTES: usize = 1 << 20;
/// Read from a connection at once; also bounds the headers of a request.
const READ_BYTES: usize = 32 << 10;

/// Below this many bytes, compressing costs more than it saves.
const MIN_COMPRESSED_BYTES: u64 = 1024;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{role} cannot listen on {listen}; set IMAGESEARCH_{}__LISTEN to a free address", .role.to_uppercase())]
    Bind {
        role: String,
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Open(#[from] OpenBeyondLoopback),
    #[error("{role} cannot find out the address that it listens on")]
    Address {
        role: String,
        #[source]
        source: io::Error,
    },
}

/// Takes an address for a role. Port 0 takes any free one.
pub async fn bind(role: &str, listen: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(listen).await.map_err(|source| ServeError::Bind { role: role.to_owned(), listen, source })
}

/// What every HTTP server of a process has in common.
#[derive(Debug, Clone)]
pub struct Kit {
    limits: Http,
    auth: Arc<Auth>,
    observer: Observer,
}

/// Handlers that stream without end stop when this is cancelled: `Extension(ShuttingDown(token))`.
#[derive(Debug, Clone)]
pub struct ShuttingDown(pub CancellationToken);

impl Kit {
    pub fn new(limits: &Http, auth: Arc<Auth>, metrics: &Metrics) -> Self {
        Self { limits: limits.clone(), auth, observer: Observer::Counting(metrics.http().clone()) }
    }

    /// For the admin port: no keys, and neither counted nor logged, because probes come every few seconds.
    pub(crate) fn admin(limits: &Http) -> Self {
        Self { limits: limits.clone(), auth: Auth::off(), observer: Observer::Quiet }
    }

    /// Puts the middleware around `router`, as a server on `listen` has it.
    pub fn layer(&self, router: Router, listen: SocketAddr, shutdown: &CancellationToken) -> Router {
        self.layers(listen, shutdown)(router)
    }

    /// The same for several routers of one server, which share its limits.
    fn layers(&self, listen: SocketAddr, shutdown: &CancellationToken) -> impl Fn(Router) -> Router + use<> {
        let permits = Arc::new(Semaphore::new(self.limits.max_concurrent_requests));
        limit::add(Resource::Requests, self.limits.max_concurrent_requests);
        let timeout = Duration::from_millis(self.limits.request_timeout_ms);
        let caller = guard::Identify { auth: self.auth.clone(), listen };
        let (observer, shutdown) = (self.observer.clone(), shutdown.clone());
        move |router| {
            router.layer(
                ServiceBuilder::new()
                    // The request id, the span, the log line and the metrics see everything below.
                    .layer(from_fn_with_state(observer.clone(), observe::observe))
                    .layer(SetResponseHeaderLayer::if_not_present(
                        header::X_CONTENT_TYPE_OPTIONS,
                        HeaderValue::from_static("nosniff"),
                    ))
                    .layer(SetResponseHeaderLayer::if_not_present(
                        header::REFERRER_POLICY,
                        HeaderValue::from_static("same-origin"),
                    ))
                    .layer(
                        CompressionLayer::new()
                            .compress_when(guard::worth_compressing.and(SizeAbove::new(MIN_COMPRESSED_BYTES))),
                    )
                    // Every error below becomes a problem, whoever made it.
                    .layer(from_fn(errors::as_problems))
                    .layer(CatchPanicLayer::custom(|payload: Box<dyn Any + Send>| errors::panicked(&*payload)))
                    // Cheap refusals first: overload, then who may not be here at all.
                    .layer(from_fn_with_state(permits.clone(), guard::limit_concurrency))
                    .layer(from_fn_with_state(caller.clone(), guard::identify))
                    .layer(CsrfLayer::new().with_rejection_response(guard::cross_site))
                    .layer(from_fn_with_state(timeout, guard::limit_time))
                    .layer(axum::Extension(ShuttingDown(shutdown.clone())))
                    .layer(DefaultBodyLimit::max(MAX_BODY_BYTES)),
            )
        }
    }
}

/// Serves until `shutdown`; then takes no more, lets requests under way end, and cuts off what is left after
/// `http.shutdown_timeout_ms`. A handler is dropped when its client goes away; what must be finished belongs into a
/// task of its own.
///
/// # Errors
/// Before anything is served: the address is open to other machines and there is no key.
pub async fn serve(
    role: &str,
    listener: TcpListener,
    routes: impl Into<Routes>,
    kit: &Kit,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let listen = listener.local_addr().map_err(|source| ServeError::Address { role: role.to_owned(), source })?;
    kit.auth.check_listen(role, listen)?;
    let routes = routes.into().layered(kit.layers(listen, &shutdown));
    tracing::info!(role, address = %listen, "serving");

    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(kit.limits.max_connections));
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => match accepted {
                Ok(accepted) => {
                    connections.spawn(connection(accepted, routes.clone(), kit.limits.clone(), graceful.watcher()));
                }
                Err(fault) => not_accepted(role, &fault).await,
            }
        }
    }
    drop(listener);
    drain(role, graceful, kit.limits.shutdown_timeout_ms).await;
    // Dropping the set cuts off whatever did not end in time.
    Ok(())
}

async fn drain(role: &str, graceful: GracefulShutdown, timeout_ms: u64) {
    let under_way = graceful.count();
    if tokio::time::timeout(Duration::from_millis(timeout_ms), graceful.shutdown()).await.is_err() {
        tracing::warn!(role, timeout_ms, "some requests did not end in time and are cut off");
    } else {
        tracing::info!(role, connections = under_way, "stopped serving");
    }
}

/// A client, and its place among those that are served.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

/// Takes a connection once there is a place for it: until then it waits with the kernel, costs nothing here and keeps no
/// file open that the stores need.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok(Accepted { stream, peer, place })
}

/// Out of file descriptors, or a client that went away before it was accepted.
async fn not_accepted(role: &str, fault: &io::Error) {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !gone.contains(&fault.kind()) {
        tracing::error!(role, error = %fault, "cannot accept connections for now");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// HTTP/1.1 only: browsers speak HTTP/2 over TLS alone, which an ingress ends, and an ingress speaks 1.1 to us.
async fn connection(accepted: Accepted, routes: LayeredRoutes, limits: Http, watcher: Watcher) {
    let Accepted { stream, peer, place } = accepted;
    let places = Arc::clone(place.semaphore());
    // A failure here costs some delay and nothing else.
    let _ = stream.set_nodelay(true);
    let idle = Duration::from_millis(limits.idle_timeout_ms);
    let io = TokioIo::new(StallGuard::new(stream, idle));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let answer = respond(routes.current(), request, peer, idle);
        let places = Arc::clone(&places);
        async move { answer.await.map(|response| close_when_full(response, &places)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also how long a kept-alive connection may be quiet.
        .header_read_timeout(idle)
        // The parser of forms takes as much as this buffer holds, so that an upload has it several times over.
        .max_buf_size(READ_BYTES)
        .serve_connection(io, service);
    if let Err(fault) = watcher.watch(connection).await {
        tracing::debug!(%peer, error = %fault, "connection ended early");
    }
}

async fn respond(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    idle: Duration,
) -> Result<axum::response::Response, Infallible> {
    let (mut parts, body) = request.into_parts();
    let (body, progress) = RequestBody::new(body, idle, parts.headers.contains_key(header::EXPECT));
    parts.extensions.insert(progress);
    parts.extensions.insert(ConnectInfo(peer));
    let response = router.oneshot(Request::from_parts(parts, axum::body::Body::new(body))).await?;
    Ok(errors::name_methods(response))
}

/// While others wait for a place, a connection ends with its answer instead of being kept for later.
fn close_when_full(mut response: axum::response::Response, places: &Semaphore) -> axum::response::Response {
    if places.available_permits() == 0 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
