//! The real NATS server that tests run on: one a test process on a free port, killed with the process; or a user's own,
//! named by IMAGESEARCH_TEST_NATS_URL.

#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use shared::config::Jetstream;
use tempfile::TempDir;

/// What a server may take to answer.
const START: Duration = Duration::from_secs(20);

/// A server of its own, for tests that kill it or need settings.
pub(super) struct Server {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    /// What the shell removes when the server is gone.
    removed: PathBuf,
    child: Option<Child>,
}

impl Server {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), PathBuf::new(), arguments)
    }

    fn start_in(folder: TempDir, removed: PathBuf, arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut server = Self { folder, port, arguments, removed, child: None };
        server.run();
        server
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub(super) fn run(&mut self) {
        let log = self.folder.path().join("log");
        // The shell waits for its input to end, which it does when this process goes, in whatever way.
        let script =
            r#"server=$1 remove=$2; shift 2; "$server" "$@" & read -r _; kill -KILL $!; wait; rm -rf "$remove""#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&*PROGRAM).arg(&self.removed).args([
            "-js",
            "-a",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
        ]);
        command.arg("-sd").arg(self.folder.path().join("data")).arg("-l").arg(&log).args(&self.arguments);
        self.child = Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < START, "{}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The first line that a server sends tells that it takes clients; JetStream is up before.
    fn answers(&self) -> bool {
        let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut line = String::new();
        BufReader::new(stream.take(64 << 10)).read_line(&mut line).is_ok_and(|_| line.starts_with("INFO"))
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/install-nats-server");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "a NATS server is needed: see scripts/install-nats-server");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});

/// The server that tests share. Nothing is dropped at the end of a process: its shell ends it and removes its data.
static SHARED: LazyLock<Server> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let removed = folder.path().to_owned();
    Server::start_in(folder, removed, &[])
});

/// A configuration with names of its own on the shared server.
pub(super) fn namespace() -> Jetstream {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = env::var("IMAGESEARCH_TEST_NATS_URL").unwrap_or_else(|_| SHARED.url());
    // The process is in the name for a server that others use too.
    let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Jetstream { servers: vec![server], name, ..Jetstream::default() }
}
