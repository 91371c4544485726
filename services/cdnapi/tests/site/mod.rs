//! A served `cdnapi` over real stores in a temporary folder.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{net::SocketAddr, sync::Arc};

use backends::{Stores, intake::Intake};
use bytes::Bytes;
use camino::Utf8PathBuf;
use cdnapi::Delivery;
use embedding::decode::Limits;
use shared::{
    ImageId, Metadata,
    config::Config,
    http::{Auth, Kit, serve, with_docs},
    telemetry::Metrics,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    stores: Stores,
    folder: Arc<TempDir>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let data_dir = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("a UTF-8 path");
        let config = Config { data_dir, ..Config::default() };
        let stores = backends::open(&config).await.expect("stores");
        let (objects, records) = (stores.objects.clone(), stores.records.clone());
        let sizes = config.cdnapi.variant_sizes.clone();
        let delivery = Delivery::new(objects, records, sizes, 1, Limits::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let kit = Kit::new(&config.http, Auth::off(), &Metrics::new());
        let router = with_docs("cdnapi", "images", cdnapi::router(delivery));
        tokio::spawn(async move { serve("cdnapi", listener, router, &kit, CancellationToken::new()).await });
        Self { address, client: reqwest::Client::new(), stores, folder }
    }

    /// Stores an image as an upload does.
    pub(crate) async fn store(&self, pieces: impl IntoIterator<Item = Bytes>) -> ImageId {
        let mut intake = Intake::begin(self.stores.objects.as_ref(), u64::MAX).await.expect("room");
        for piece in pieces {
            intake.write(piece).await.expect("written");
        }
        let received = intake.finish().expect("an image");
        let image_id = received.image_id;
        let (upload, staged) = received.into_upload(None, Metadata::default());
        self.stores.records.accept_upload(&upload, staged, None).await.expect("accepted");
        image_id
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Resized copies that are kept.
    pub(crate) fn variants(&self) -> Vec<std::path::PathBuf> {
        let mut folders = vec![self.folder.path().join("objects/variants")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
            }
        }
        files
    }
}
