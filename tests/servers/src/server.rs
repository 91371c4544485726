//! A process that a test has started, and how it is killed, paused and started again.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::ports::Ports;

/// Generous: it bounds a hang, it measures nothing.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
pub(crate) const POLL: Duration = Duration::from_millis(50);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// So many times a server may end while it starts.
const STARTS: usize = 3;

/// Starts a server and prints its process id. It kills the server once its standard input ends, as it does when the test
/// process is gone, and then removes the folder unless it is told that the server comes back.
const KEEPER: &str = r#"folder=$1; shift; "$@" >>"$folder/log" 2>&1 & echo $!; read -r keep; kill -KILL $! 2>/dev/null; wait; [ "$keep" ] || rm -rf "$folder""#;

/// A server and its folder, which goes with it.
pub struct Server {
    name: &'static str,
    ports: Ports,
    /// Its `/healthz`, where taking connections says too little.
    health: Option<String>,
    folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    running: Option<(Child, Pid)>,
}

impl Server {
    /// Runs `arguments` (the program first), each of which may name the server's folder as `{folder}`, and waits until it
    /// takes connections on the first of its ports, and is healthy if `health` says where that is told.
    pub(crate) async fn start(
        name: &'static str,
        ports: Ports,
        health: Option<String>,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        // Removed by the keeper: values in a `static` are never dropped.
        let folder = tempfile::tempdir().unwrap().keep();
        let in_folder = |argument: &&str| argument.replace("{folder}", folder.to_str().unwrap());
        let arguments = arguments.iter().map(in_folder).collect();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Self { name, ports, health, folder, arguments, environment, running: None };
        server.restart().await;
        server
    }

    pub fn port(&self) -> u16 {
        self.ports.first()
    }

    /// Of the server itself.
    pub fn process_id(&self) -> u32 {
        let (_, pid) = self.running.as_ref().unwrap();
        pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub fn url(&self) -> String {
        let scheme = if self.name == "NATS" { "nats" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port())
    }

    /// Starts it on what it left, and waits until it answers. One that ends instead is started again, as whoever runs servers
    /// does: Milvus gives up where the machine is too busy for its deadlines.
    pub async fn restart(&mut self) {
        self.kill();
        let started = Instant::now();
        let mut starts = 0;
        while !self.answers().await {
            if self.running.is_none() || self.has_ended() {
                assert!(starts < STARTS, "{} ends each time it is started:\n{}", self.name, self.log());
                if starts > 0 {
                    eprintln!("{} ended while it started, and is started again:\n{}", self.name, self.log());
                }
                starts += 1;
                self.kill();
                self.running = Some(run(&self.folder, &self.arguments, &self.environment));
            }
            assert!(started.elapsed() < DEADLINE, "{} does not answer:\n{}", self.name, self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    async fn answers(&self) -> bool {
        match &self.health {
            None => TcpStream::connect(("127.0.0.1", self.port())).await.is_ok(),
            Some(url) => {
                let request = reqwest::Client::new().get(url).timeout(HEALTH_TIMEOUT);
                request.send().await.is_ok_and(|answer| answer.status().is_success())
            }
        }
    }

    /// The last lines of all that it logged.
    fn log(&self) -> String {
        let logs = ["log", "data/logs/stdout.log", "data/logs/stderr.log"];
        let logs = logs.map(|log| fs::read(self.folder.join(log)).unwrap_or_default());
        let tail = |log: &Vec<u8>| {
            let text = String::from_utf8_lossy(log).into_owned();
            let lines: Vec<&str> = text.lines().rev().take(15).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        logs.each_ref().map(tail).join("\n")
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

/// What a script prints: a program or a folder.
pub(crate) fn installed(script: &str) -> String {
    let output = Command::new(scripts().join(script)).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/{script} failed; it says above what is missing");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts")
}
