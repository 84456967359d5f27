//! A machine that trusts no certificates at all: whoever uses no TLS needs none.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits by the clock"
)]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Some certificate, which a kubeconfig names as the API server's authority.
const AUTHORITY: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJkVENDQVJ1Z0F3SUJBZ0lVT2t1ZVhYRnZMUWZDOEEwT3VmVlUyWmJsSU5Fd0NnWUlLb1\
    pJemowRUF3SXcKRHpFTk1Bc0dBMVVFQXd3RWRHVnpkREFnRncweU5qRXlNREV3TVRJM016UmFHQTh5TVRJMk1URXdOekF4TWpjegpORm93RHpF\
    Tk1Bc0dBMVVFQXd3RWRHVnpkREJaTUJNR0J5cUdTTTQ5QWdFR0NDcUdTTTQ5QXdFSEEwSUFCRlpUCjRPZlBtUis0TmVNb3ZkbFgvbFg2NmpDdH\
    dza0JjTUZaVW9RTzgyS2YxdG03eklId3NPaXZTb1lyM0R4c0xIR2MKcmw2LzU4NjFGeHJOQ08wMEJBT2pVekJSTUIwR0ExVWREZ1FXQkJTUEFE\
    VUtLSE9KZS9QVmZzTENPc0xmQyt3UApwekFmQmdOVkhTTUVHREFXZ0JTUEFEVUtLSE9KZS9QVmZzTENPc0xmQyt3UHB6QVBCZ05WSFJNQkFmOE\
    VCVEFECkFRSC9NQW9HQ0NxR1NNNDlCQU1DQTBnQU1FVUNJUUQ4eE5sdUhZa1VWcGliQzhrTWhVQmdvWTlCTHJMcTZudFoKSDBFd2E1Mi9ZUUln\
    QmR4a2FySU5JTlBKNUNzWXBFVEFtODN1eXhCc3h3WnNKMm1jRk1lbkxPbz0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

const NOTHING: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#;

/// An API server that has nothing.
fn api_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(mut stream: TcpStream) {
    let mut head = [0; 8_192];
    if stream.read(&mut head).is_ok() {
        let length = NOTHING.len();
        let head = format!(
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        let _ = stream.write_all((head + NOTHING).as_bytes());
    }
}

/// The process, killed at the end.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lives(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let mut reply = String::new();
    let _ = stream.read_to_string(&mut reply);
    reply.starts_with("HTTP/1.1 200")
}

#[test]
fn the_controller_starts_where_no_certificate_is_trusted() {
    let server = api_server();
    let folder = std::env::temp_dir().join(format!("warmfront-trust-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let kubeconfig = folder.join("kubeconfig");
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{{"name": "u", "user": {{}}}}],
            "clusters": [{{"name": "c", "cluster": {{"server": "http://127.0.0.1:{server}", "certificate-authority-data": "{AUTHORITY}"}}}}],
            "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}]}}"#
    );
    fs::write(&kubeconfig, text).unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Command::new(env!("CARGO_BIN_EXE_warmfront"))
        .args([
            "run",
            "--leader-election",
            "false",
            "--listen",
            &format!("127.0.0.1:{admin}"),
        ])
        .env("KUBECONFIG", &kubeconfig)
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", &folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Process(started);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !lives(admin) {
        if process.0.try_wait().unwrap().is_some() || Instant::now() > deadline {
            let _ = process.0.kill();
            let mut log = String::new();
            let _ = process.0.stdout.take().unwrap().read_to_string(&mut log);
            panic!("it does not start: {log}");
        }
        thread::sleep(Duration::from_millis(100));
    }
    fs::remove_dir_all(&folder).unwrap();
}
