//! Who is asking, and what they may do: API keys, the session cookie, public reading, and open serving on loopback.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use axum_extra::extract::CookieJar;
use camino::Utf8PathBuf;
use futures::future::{Either, Ready, ready};
use headers::{Authorization, HeaderMapExt, authorization::Bearer};
use tower::{Layer, Service};

use super::{
    keys::{KeyError, KeyRecord, KeyStore},
    problem::Problem,
    scope::{Scope, Scopes},
    session,
};
use crate::config::{AuthMode, Config};

/// Decides who may do what in one process; shared by all of its servers.
#[derive(Debug)]
pub struct Auth {
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    /// Anybody may do anything.
    Off,
    Keys {
        keys: KeyStore,
        public_read: bool,
    },
}

/// A server would be open to other machines.
#[derive(Debug, thiserror::Error)]
#[error(
    "{role} refuses to listen on {listen}, beyond this machine, without any API key in {keys_file}; make one with \
     `imagesearch keys create`, or listen on 127.0.0.1, or set auth.mode to none if something else guards it"
)]
pub struct OpenBeyondLoopback {
    pub role: String,
    pub listen: SocketAddr,
    pub keys_file: Utf8PathBuf,
}

impl Auth {
    /// Reads the keys that the configuration points at; they are read again whenever the file changes.
    pub fn open(config: &Config) -> Result<Arc<Self>, KeyError> {
        let policy = match config.auth.mode {
            AuthMode::None => Policy::Off,
            AuthMode::Keys => {
                Policy::Keys { keys: KeyStore::open(config.keys_file())?, public_read: config.auth.public_read }
            }
        };
        Ok(Arc::new(Self { policy }))
    }

    /// No keys are asked for, whatever the address.
    pub fn off() -> Arc<Self> {
        Arc::new(Self { policy: Policy::Off })
    }

    /// Refuses an address that other machines reach as long as nobody needs a key.
    pub fn check_listen(&self, role: &str, listen: SocketAddr) -> Result<(), OpenBeyondLoopback> {
        match &self.policy {
            Policy::Keys { keys, .. } if !listen.ip().is_loopback() && keys.current().is_empty() => {
                Err(OpenBeyondLoopback { role: role.to_owned(), listen, keys_file: keys.path().to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Who sends these headers to a server that listens on `listen`.
    pub(crate) fn identify(&self, headers: &HeaderMap, listen: SocketAddr) -> Caller {
        let Policy::Keys { keys, public_read } = &self.policy else {
            return Caller::Open { guard_host: false };
        };
        let keys = keys.current();
        // Also when every key is revoked: taking a key away must never open a server.
        if keys.is_empty() && listen.ip().is_loopback() {
            return Caller::Open { guard_host: true };
        }
        if headers.contains_key(header::AUTHORIZATION) {
            let bearer = headers.typed_get::<Authorization<Bearer>>();
            return match bearer.and_then(|bearer| keys.find(bearer.token())) {
                Some(record) => Caller::from(record),
                None => Caller::Anonymous { public_read: false, bad_key: true },
            };
        }
        let jar = CookieJar::from_headers(headers);
        match jar.get(session::COOKIE).and_then(|cookie| keys.find_session(cookie.value())) {
            Some(record) => Caller::from(record),
            None => Caller::Anonymous { public_read: *public_read, bad_key: false },
        }
    }

    /// The key record that `key` belongs to, unless it is revoked.
    pub(crate) fn check_key(&self, key: &str) -> Option<KeyRecord> {
        match &self.policy {
            Policy::Off => None,
            Policy::Keys { keys, .. } => keys.current().find(key).cloned(),
        }
    }
}

/// Who sent a request. Put into every request by the kit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody needs a key here. `guard_host`: only because the server listens on loopback.
    Open { guard_host: bool },
    /// The owner of a key, by the key itself or by a session.
    Key { id: String, scopes: Scopes },
    /// Nobody known; `bad_key` if they tried.
    Anonymous { public_read: bool, bad_key: bool },
}

impl Caller {
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Open { .. } => true,
            Self::Key { scopes, .. } => scope.is_in(scopes),
            Self::Anonymous { public_read, .. } => *public_read && scope == Scope::Read,
        }
    }

    /// The id of the caller's key, for logs.
    pub fn key_id(&self) -> Option<&str> {
        match self {
            Self::Key { id, .. } => Some(id),
            _ => None,
        }
    }

    /// For handlers whose scope depends on what is asked; else use the layer [`require`].
    pub fn check(&self, scope: Scope) -> Result<(), Problem> {
        match self {
            _ if self.may(scope) => Ok(()),
            Self::Anonymous { bad_key: true, .. } => Err(Problem::unauthorized(
                "this API key isn't valid, or it was revoked; make one with `imagesearch keys create`",
            )),
            Self::Anonymous { .. } => {
                Err(Problem::unauthorized("an API key is needed; send it as authorization: Bearer isk_…, or sign in"))
            }
            _ => Err(Problem::scope_needed(scope)),
        }
    }
}

impl From<&KeyRecord> for Caller {
    fn from(record: &KeyRecord) -> Self {
        Self::Key { id: record.id.clone(), scopes: record.scopes.clone() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        caller(&parts.extensions)
    }
}

/// A router that is served without the kit must not be an open door.
fn caller(extensions: &axum::http::Extensions) -> Result<Caller, Problem> {
    extensions.get::<Caller>().cloned().ok_or_else(|| {
        tracing::error!("a route that requires a scope is served without the kit's middleware");
        Problem::internal_logged()
    })
}

/// A layer that lets only callers with `scope` through: `routes!(search).layer(require(Scope::Read))`, or `.route_layer(…)`.
pub fn require(scope: Scope) -> RequireScope {
    RequireScope { scope }
}

/// See [`require`].
#[derive(Debug, Clone, Copy)]
pub struct RequireScope {
    scope: Scope,
}

impl<S> Layer<S> for RequireScope {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, scope: self.scope }
    }
}

/// A service behind [`require`].
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    scope: Scope,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match caller(request.extensions()).and_then(|caller| caller.check(self.scope)) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(problem) => Either::Right(ready(Ok(problem.into_response()))),
        }
    }
}
