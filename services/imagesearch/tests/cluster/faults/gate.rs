//! A way to the bucket on which no original is ever given: who asks for one has begun with its image, and gets no further.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use crate::cluster::{DEADLINE, DEPLOYMENT};

pub(super) struct Gate {
    pub(super) url: String,
    asked: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

impl Gate {
    pub(super) async fn before(s3: &servers::Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = mpsc::unbounded_channel();
        let port = s3.port();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, tell.clone()));
            }
        });
        Self { url, asked, task }
    }

    /// Waits until an original is asked for.
    pub(super) async fn asked(&mut self) {
        timeout(DEADLINE, self.asked.recv()).await.expect("nobody asks for an original");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes requests on, each of which begins with what was read: clients wait for an answer before they send the next one.
async fn pass(client: TcpStream, port: u16, tell: mpsc::UnboundedSender<()>) -> io::Result<()> {
    let original = format!("GET /{DEPLOYMENT}/originals/");
    let (mut from_server, mut to_server) = TcpStream::connect(("127.0.0.1", port)).await?.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut request = vec![0; 64 << 10];
    let mut is_held = false;
    loop {
        let length = from_client.read(&mut request).await?;
        if length == 0 {
            return Ok(());
        }
        if request[..length].starts_with(original.as_bytes()) {
            is_held = true;
            // Nobody listens any more once the test is over.
            let _ = tell.send(());
        }
        if !is_held {
            to_server.write_all(&request[..length]).await?;
        }
    }
}
