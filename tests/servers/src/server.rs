//! A process that a test has started, and how it is killed, paused and started again.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

/// Generous: it bounds a hang, it measures nothing.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// Starts a server and prints its process id. It kills the server once its standard input ends, as it does when the test
/// process is gone, and then removes the folder unless it is told that the server comes back.
const KEEPER: &str = r#"folder=$1; shift; "$@" >>"$folder/log" 2>&1 & echo $!; read -r keep; kill -KILL $! 2>/dev/null; wait; [ "$keep" ] || rm -rf "$folder""#;

/// A server and its folder, which goes with it.
pub struct Server {
    name: &'static str,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    running: Option<(Child, Pid)>,
}

impl Server {
    /// Runs `arguments` (the program first), each of which may name the server's folder as `{folder}`, and waits until it
    /// takes connections on `port`.
    pub(crate) async fn start(name: &'static str, port: u16, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        // Removed by the keeper: values in a `static` are never dropped.
        let folder = tempfile::tempdir().unwrap().keep();
        let in_folder = |argument: &&str| argument.replace("{folder}", folder.to_str().unwrap());
        let arguments = arguments.iter().map(in_folder).collect();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Self { name, port, folder, arguments, environment, running: None };
        server.restart().await;
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Of the server itself.
    pub fn process_id(&self) -> u32 {
        let (_, pid) = self.running.as_ref().unwrap();
        pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub fn url(&self) -> String {
        let scheme = if self.name == "NATS" { "nats" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Starts it on what it left, and waits until it takes connections.
    pub async fn restart(&mut self) {
        self.kill();
        self.running = Some(run(&self.folder, &self.arguments, &self.environment));
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(started.elapsed() < DEADLINE, "{} does not answer:\n{log}", self.name);
            tokio::time::sleep(POLL).await;
        }
    }

    /// SIGTERM, and started again: what it has to finish, it finishes.
    pub async fn restart_in_order(&mut self) {
        self.signal(Signal::TERM);
        let started = Instant::now();
        while !self.has_ended() {
            assert!(started.elapsed() < DEADLINE, "{} does not end", self.name);
            tokio::time::sleep(POLL).await;
        }
        self.restart().await;
    }

    /// Starts it again with `text` in its arguments replaced.
    pub(crate) async fn restart_with(&mut self, text: &str, replacement: &str) {
        for argument in &mut self.arguments {
            *argument = argument.replace(text, replacement);
        }
        self.restart().await;
    }

    /// SIGKILL: nothing is finished, nothing is flushed.
    pub fn kill(&mut self) {
        if let Some((mut keeper, _)) = self.running.take() {
            std::io::Write::write_all(&mut keeper.stdin.take().unwrap(), b"keep\n").unwrap();
            keeper.wait().unwrap();
        }
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it again if it ends by itself within `patience`, as whoever runs servers does.
    pub async fn supervise(&mut self, patience: Duration) {
        let started = Instant::now();
        while started.elapsed() < patience {
            if self.has_ended() {
                return self.restart().await;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Loses its volume: killed, and everything that it kept removed.
    pub fn forget(&mut self) {
        self.kill();
        fs::remove_dir_all(self.folder.join("data")).unwrap();
    }

    fn has_ended(&self) -> bool {
        let (_, pid) = self.running.as_ref().unwrap();
        // The keeper doesn't wait for it, so it stays as a zombie.
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|state| state.is_empty() || state.starts_with('Z'))
    }

    fn signal(&self, signal: Signal) {
        let (_, pid) = self.running.as_ref().unwrap();
        kill_process(*pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(folder: &Path, arguments: &[String], environment: &[(String, String)]) -> (Child, Pid) {
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER, "sh"])
        .arg(folder)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    (keeper, pid)
}

/// What an install script prints: a program, or a folder with some.
pub(crate) fn installed(script: &str) -> String {
    let output = Command::new(scripts().join(script)).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/{script} failed; it says above what is missing");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts")
}

/// The first of `count` free ports in a row, below those that the system gives to clients.
pub(crate) fn free_ports(count: u16) -> u16 {
    loop {
        let first = 10_100 + (uuid::Uuid::new_v4().as_u128() % 1200) as u16 * 16;
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}
