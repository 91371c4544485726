//! A store that is none: it answers as it is told, and remembers what it was asked. For what a real one can't be made to do.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

pub(super) const TAG: (&str, &str) = ("ETag", "\"tag\"");

#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `PUT /bucket/key?query`.
    pub(super) target: String,
    /// By their names in small letters.
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

pub(super) struct Fake {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// What is not answered is hung up on.
    pub(super) async fn start(answer: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::default();
        tokio::spawn(serve(listener, Arc::clone(&requests), answer));
        Self { url, requests }
    }

    /// All so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    listener: TcpListener,
    requests: Arc<Mutex<Vec<Request>>>,
    answer: impl Fn(&Request) -> Option<String> + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    while let Ok((mut connection, _)) = listener.accept().await {
        let (requests, answer) = (requests.clone(), answer.clone());
        tokio::spawn(async move {
            let Ok(request) = Request::read(&mut connection).await else { return };
            let said = answer(&request);
            requests.lock().unwrap().push(request);
            if let Some(said) = said {
                let _ = connection.write_all(said.as_bytes()).await;
            }
        });
    }
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    async fn read(connection: &mut TcpStream) -> io::Result<Self> {
        let mut lines = BufReader::new(connection);
        let mut line = String::new();
        lines.read_line(&mut line).await?;
        let target = line.trim().strip_suffix(" HTTP/1.1").ok_or(io::ErrorKind::UnexpectedEof)?.to_owned();
        let mut request = Self { target, headers: Vec::new(), body: String::new() };
        loop {
            line.clear();
            lines.read_line(&mut line).await?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            request.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let size_bytes = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; size_bytes];
        lines.read_exact(&mut body).await?;
        request.body = String::from_utf8_lossy(&body).into_owned();
        Ok(request)
    }
}

/// An answer of that status, as it is sent.
pub(super) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (headers, length) = (headers.concat(), body.len());
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Takes everything, as a store does that knows no conditions.
pub(super) fn take(request: &Request) -> String {
    let body = if request.target.starts_with("POST") && request.target.contains("uploadId") {
        "<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>"
    } else if request.target.starts_with("POST") {
        "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>"
    } else if request.header("x-amz-copy-source").is_some() {
        "<CopyPartResult><ETag>\"tag\"</ETag></CopyPartResult>"
    } else {
        ""
    };
    answer("200 OK", &[TAG], body)
}
