use super::*;
use crate::config::Socket;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tempfile::TempDir;

/// Serves these answers to one connection each, some of them after a delay.
fn serve(listener: UnixListener, answers: Vec<(Duration, Vec<u8>)>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for (delay, answer) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 100]).unwrap() > 5);
            std::thread::sleep(delay);
            // The other side may have given up.
            let _ = stream.write_all(&answer);
        }
    })
}

fn answer(discovers: u64) -> Vec<u8> {
    let statistics = format!(r#""pkt4-discover-received":[[{discovers},"now"]],"subnet[1].assigned-addresses":[[5,"now"]]"#);
    format!(r#"{{"arguments":{{{statistics}}},"result":0}}"#).into_bytes()
}

fn socket() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("socket");
    (dir, path)
}

fn kea4(path: &Path) -> Services {
    let socket = Socket { path: path.to_owned(), is_given: true };
    Services::start(&Sockets { kea4: Some(socket), ..Sockets::default() }, 60)
}

/// Readings at this time, although the service may take a while on a busy machine.
fn soon(services: &mut Services, end_s: u64) -> Vec<Reading> {
    let readings = (0..40).map(|_| services.sample(end_s)).find(|readings| !readings.is_empty());
    readings.unwrap_or_default()
}

fn value(readings: &[Reading], metric: &str) -> Option<f64> {
    readings.iter().find(|reading| reading.metric == metric).map(|reading| reading.value)
}

const ASSIGNED: &str = "dhcp4_assigned_addresses";
const RECEIVED: &str = "dhcp4_packets_received_per_s";

#[test]
fn a_service_is_sampled_once_per_interval_and_has_rates_from_the_second_time_on() {
    let (_dir, path) = socket();
    let server = serve(UnixListener::bind(&path).unwrap(), vec![(Duration::ZERO, answer(10)), (Duration::ZERO, answer(10))]);
    let mut services = kea4(&path);
    let first = soon(&mut services, 600);
    assert_eq!((value(&first, ASSIGNED), value(&first, RECEIVED)), (Some(5.0), None));
    assert_eq!(services.sample(605), []);
    assert_eq!(services.sample(655), []);
    let second = soon(&mut services, 660);
    assert_eq!((value(&second, ASSIGNED), value(&second, RECEIVED)), (Some(5.0), Some(0.0)));
    server.join().unwrap();
}

#[test]
fn a_late_answer_belongs_to_a_later_slot() {
    let (_dir, path) = socket();
    let server = serve(UnixListener::bind(&path).unwrap(), vec![(PATIENCE * 2, answer(10))]);
    let mut services = kea4(&path);
    assert_eq!(services.sample(600), []);
    server.join().unwrap();
    assert_eq!(value(&soon(&mut services, 605), ASSIGNED), Some(5.0));
}

#[test]
fn a_service_that_is_gone_and_returns_has_no_rates_at_first() {
    let (_dir, path) = socket();
    let server = serve(UnixListener::bind(&path).unwrap(), vec![(Duration::ZERO, answer(10))]);
    let mut services = kea4(&path);
    assert_ne!(soon(&mut services, 600), []);
    server.join().unwrap();
    assert_eq!(services.sample(660), [], "nothing listens");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(services.sample(720), [], "there is no socket");
    let answers = vec![(Duration::ZERO, answer(20)), (Duration::ZERO, answer(20))];
    let server = serve(UnixListener::bind(&path).unwrap(), answers);
    assert_eq!(value(&soon(&mut services, 780), RECEIVED), None);
    assert_eq!(value(&soon(&mut services, 840), RECEIVED), Some(0.0));
    server.join().unwrap();
}

#[test]
fn a_clock_that_was_set_begins_anew() {
    let (_dir, path) = socket();
    let answers = vec![(Duration::ZERO, answer(10)), (Duration::ZERO, answer(20))];
    let server = serve(UnixListener::bind(&path).unwrap(), answers);
    let mut services = kea4(&path);
    assert_ne!(soon(&mut services, 600), []);
    services.forget();
    let again = soon(&mut services, 605);
    assert_eq!((value(&again, ASSIGNED), value(&again, RECEIVED)), (Some(5.0), None));
    server.join().unwrap();
}

#[test]
fn nothing_to_sample_takes_no_time() {
    let began = Instant::now();
    assert_eq!(Services::start(&Sockets::default(), 60).sample(600), []);
    assert!(began.elapsed() < PATIENCE);
}
