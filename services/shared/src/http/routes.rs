//! The routes of a server, which may listen before they are there.

use std::sync::{Arc, OnceLock};

use axum::Router;

/// What a server answers with: a process says at its address that it is starting, for as long as what its routes need is
/// not there.
#[derive(Debug, Clone)]
pub struct Routes {
    starting: Router,
    opened: Arc<OnceLock<Router>>,
}

impl Routes {
    /// `starting` answers everything until [`Self::open`].
    pub fn starting(starting: Router) -> Self {
        Self { starting, opened: Arc::default() }
    }

    /// From the next request on these answer, on connections that are there already too. Once open, routes stay the same.
    pub fn open(&self, router: Router) {
        // What is set already stays, as promised.
        let _ = self.opened.set(router);
    }

    /// With `layer` around all of them.
    pub(super) fn layered(self, layer: impl Fn(Router) -> Router + Send + Sync + 'static) -> LayeredRoutes {
        let starting = layer(self.starting);
        LayeredRoutes { starting, opened: self.opened, layered: Arc::default(), layer: Arc::new(layer) }
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self { starting: Router::new(), opened: Arc::new(router.into()) }
    }
}

/// Routes with a server's middleware around them. It is put around each router as a whole, so that it knows which route
/// matched.
#[derive(Clone)]
pub(super) struct LayeredRoutes {
    starting: Router,
    opened: Arc<OnceLock<Router>>,
    layered: Arc<OnceLock<Router>>,
    layer: Arc<dyn Fn(Router) -> Router + Send + Sync>,
}

impl LayeredRoutes {
    /// Those that answer the next request.
    pub(super) fn current(&self) -> Router {
        let opened = self.opened.get().map(|router| self.layered.get_or_init(|| (self.layer)(router.clone())));
        opened.unwrap_or(&self.starting).clone()
    }
}
