//! The stores of the distributed form, started for one measurement: NATS, SeaweedFS's S3, Milvus.

use anyhow::Result;
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use backends::Stores;
use shared::config::{self, Config, Secret};

use crate::{processor, server::Environment};

pub(crate) const BUCKET: &str = "images";

pub(crate) struct Servers {
    nats: servers::Server,
    s3: servers::Server,
    milvus: servers::Server,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let (nats, s3, milvus) = tokio::join!(servers::nats(&[]), servers::s3(&[]), servers::milvus(&[]));
        Self { nats, s3, milvus }
    }

    /// Settings of every role on these stores.
    pub(crate) fn settings(&self) -> Environment {
        let s3 = servers::settings(&self.s3, BUCKET);
        let settings = [
            ("OBJECTS__TYPE", "s3".to_owned()),
            ("OBJECTS__ENDPOINT", self.s3.url()),
            ("OBJECTS__BUCKET", s3.bucket),
            ("OBJECTS__CREATE_BUCKET", "true".to_owned()),
            ("OBJECTS__ACCESS_KEY_ID", text(s3.access_key_id)),
            ("OBJECTS__SECRET_ACCESS_KEY", text(s3.secret_access_key)),
            ("QUEUE__TYPE", "jetstream".to_owned()),
            ("QUEUE__SERVERS", self.nats.url()),
            ("INDEX__TYPE", "milvus".to_owned()),
            ("INDEX__URL", self.milvus.url()),
        ];
        settings.map(|(name, value)| (format!("IMAGESEARCH_{name}"), value)).to_vec()
    }

    /// Opens them as a role does.
    pub(crate) async fn open(&self) -> Result<Stores> {
        let variables = self.settings().into_iter().map(|(name, value)| (name.into(), value.into()));
        let config: Config = config::load(&config::Source::Role("none"), variables)?;
        Ok(backends::open(&config).await?)
    }

    /// A client of the object store with nothing of ours around it.
    pub(crate) fn s3_client(&self) -> Client {
        let s3 = servers::settings(&self.s3, BUCKET);
        let credentials =
            Credentials::new(text(s3.access_key_id), text(s3.secret_access_key), None, None, "measurement");
        let settings = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(s3.region))
            .endpoint_url(self.s3.url())
            .credentials_provider(credentials)
            .force_path_style(true);
        Client::from_conf(settings.build())
    }

    pub(crate) fn s3_url(&self) -> String {
        self.s3.url()
    }

    pub(crate) fn milvus_process(&self) -> u32 {
        self.milvus.process_id()
    }

    pub(crate) fn milvus_port(&self) -> u16 {
        self.milvus.port()
    }

    /// Processor time that each has taken so far, in seconds.
    pub(crate) fn processor_s(&self) -> Result<[(&'static str, f64); 3]> {
        let seconds = |server: &servers::Server| processor::seconds(server.process_id());
        Ok([("NATS", seconds(&self.nats)?), ("SeaweedFS", seconds(&self.s3)?), ("Milvus", seconds(&self.milvus)?)])
    }
}

fn text(secret: Option<Secret>) -> String {
    secret.map(|secret| secret.reveal().to_owned()).unwrap_or_default()
}
