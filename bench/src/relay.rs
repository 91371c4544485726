//! Passes bytes on between a service and its store, and keeps the time that the store takes: from the first byte of what it
//! is asked to the last one of its answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const PIECE_BYTES: usize = 64 << 10;

pub(crate) struct Relay {
    pub(crate) port: u16,
    spent: Arc<Mutex<Spent>>,
}

#[derive(Default)]
struct Spent {
    ended: Duration,
    asked: Option<Instant>,
    answered: Option<Instant>,
}

impl Relay {
    /// Listens on a port of its own until the process ends.
    pub(crate) async fn start(store_port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let relay = Self { port: listener.local_addr()?.port(), spent: Arc::default() };
        let spent = relay.spent.clone();
        tokio::spawn(async move {
            while let Ok((service, _)) = listener.accept().await {
                let Ok(store) = TcpStream::connect(("127.0.0.1", store_port)).await else { continue };
                let _ = (service.set_nodelay(true), store.set_nodelay(true));
                let ((from_service, to_service), (from_store, to_store)) = (service.into_split(), store.into_split());
                tokio::spawn(pass(from_service, to_store, spent.clone(), Spent::ask));
                tokio::spawn(pass(from_store, to_service, spent.clone(), Spent::answer));
            }
        });
        Ok(relay)
    }

    /// What the store took since this was asked before.
    pub(crate) fn take_spent(&self) -> Duration {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.end();
        std::mem::take(&mut *spent).ended
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    spent: Arc<Mutex<Spent>>,
    note: fn(&mut Spent, Instant),
) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(size_bytes @ 1..) = from.read(&mut piece).await {
        note(&mut spent.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        if to.write_all(&piece[..size_bytes]).await.is_err() {
            return;
        }
    }
}

impl Spent {
    fn ask(&mut self, now: Instant) {
        if self.answered.is_some() {
            self.end();
        }
        self.asked.get_or_insert(now);
    }

    fn answer(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// What was asked without an answer took no time: such are the connection's own frames.
    fn end(&mut self) {
        if let (Some(asked), Some(answered)) = (self.asked.take(), self.answered.take()) {
            self.ended += answered - asked;
        }
    }
}
