//! Certificates for servers and clients of tests.

use std::{path::Path, process::Command};

/// Makes an authority (`ca.pem`) in a folder, and by it certificates with keys for a server at 127.0.0.1 and for a client:
/// `server.pem`, `server.key`, `client.pem`, `client.key`.
pub fn certificates(folder: &Path) {
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
        echo 'subjectAltName=IP:127.0.0.1' > names
        for who in server client; do
            openssl req -newkey rsa:2048 -nodes -subj /CN=$who -keyout $who.key -out $who.request
            openssl x509 -req -in $who.request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out $who.pem
        done";
    let made = Command::new("sh").args(["-ec", script]).current_dir(folder).output().expect("openssl is needed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
