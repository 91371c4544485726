//! What holds when nothing is set: one process on this machine, everything below one folder.

use std::net::SocketAddr;

use super::{
    Admin, Auth, Beside, CdnApi, Config, Fetch, Frontend, Http, Index, IngestApi, IngestWorker, Log, LogFormat, Model,
    Objects, Queue, SearchApi,
    stores::{default_keep_tasks, default_max_jobs},
};

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            ingestapi: IngestApi::default(),
            ingestworker: IngestWorker::default(),
            searchapi: SearchApi::default(),
            cdnapi: CdnApi::default(),
            frontend: Frontend::default(),
            admin: Admin::default(),
            auth: Auth::default(),
            http: Http::default(),
            model: Model::default(),
            objects: Objects::Folder { path: None },
            queue: Queue::Sqlite { path: None, max_jobs: default_max_jobs(), keep_tasks: default_keep_tasks() },
            index: Index::QdrantEdge { path: None },
            log: Log::default(),
        }
    }
}

impl Default for IngestApi {
    fn default() -> Self {
        Self {
            listen: loopback(8000),
            max_image_bytes: 100 << 20,
            max_request_bytes: 4 << 30,
            max_items: 10_000,
            sweep_interval_s: 300,
            stray_after_s: 3600,
        }
    }
}

impl Default for IngestWorker {
    fn default() -> Self {
        Self {
            batch_size: 4,
            max_in_flight: 64,
            lease_ms: 30_000,
            max_attempts: 8,
            retry_min_ms: 500,
            retry_max_ms: 60_000,
            drain_timeout_ms: 20_000,
            max_pixels: 100_000_000,
            keep_exif_date: false,
            keep_exif_location: false,
            fetch: Fetch::default(),
        }
    }
}

impl Default for Fetch {
    fn default() -> Self {
        Self { timeout_ms: 30_000, max_redirects: 5, allow_networks: Vec::new() }
    }
}

impl Default for SearchApi {
    fn default() -> Self {
        Self { listen: loopback(8001), text_cache_entries: 10_000, max_query_image_bytes: 20 << 20, max_limit: 1000 }
    }
}

impl Default for CdnApi {
    fn default() -> Self {
        Self {
            listen: loopback(8002),
            max_concurrent_renders: 2,
            variant_sizes: vec![64, 128, 240, 320, 480, 640, 960, 1280, 1920, 2560],
        }
    }
}

impl Default for Frontend {
    fn default() -> Self {
        Self { listen: loopback(3000) }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9090) }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            request_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            max_connections: 1024,
            max_concurrent_requests: 512,
            shutdown_timeout_ms: 20_000,
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            source: "bundled".into(),
            sha256: None,
            hub_endpoint: None,
            token: None,
            cache_dir: None,
            threads: None,
            keep_previous_s: 3600,
            beside: Beside::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,qdrant_edge=error".into(), format: LogFormat::Auto }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
