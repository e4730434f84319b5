//! The central that is measured.

use super::contents;
use crate::measure::{Memory, forget_peak};
use crate::peers::settle;
use serde_json::json;
use std::time::Instant;
use zonepulse_tests::api::Credentials;
use zonepulse_tests::{Api, Central, process};

/// A running central, and its administrator's client.
pub struct Subject {
    pub central: Central,
    pub api: Api,
}

/// The cost of adding zones and uploading their files.
pub struct Loading {
    /// CPU seconds until the last answer.
    pub answered_cpu_s: f64,
    /// CPU seconds until the central was idle: with flushes and compactions.
    pub settled_cpu_s: f64,
    /// Wall clock time until the last answer, seconds.
    pub wall_s: f64,
    pub file_bytes: u64,
    /// Resident memory before.
    pub idle_kib: u64,
    /// The most that was resident.
    pub peak_kib: u64,
    /// Resident memory afterwards.
    pub resident_kib: u64,
}

impl Loading {
    /// Memory at its peak, over that of the idle central.
    pub fn grown_kib(&self) -> u64 {
        self.peak_kib.saturating_sub(self.idle_kib)
    }
}

impl Subject {
    /// Starts one without zones.
    pub fn start(servers: u32) -> Self {
        let names: Vec<String> = (1..=servers).map(|number| format!("server {number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let central = Central::start_as_shipped(&names);
        let Credentials::User(user, _) = central.administrator() else { panic!("an administrator has a password") };
        // A password is hashed again every minute, which takes CPU time and 19 MiB.
        let path = format!("/api/v2/users/{user}/tokens");
        let made = central.api().send_json("POST".parse().expect("a method"), &path, &json!({ "name": "bench" }));
        assert_eq!(made.status, 201, "{}", made.text());
        let token = made.json()["secret"].as_str().expect("a token").to_owned();
        let api = central.client(Credentials::Token(token));
        settle(&central);
        Subject { central, api }
    }

    /// Adds zones with so many RRsets in all.
    pub fn load(&self, zones: u64, rrsets: u64) -> Loading {
        self.load_each((1..=zones).map(|zone| (zone, contents::file(zone, rrsets / zones))), rrsets / zones)
    }

    /// Adds zones by number and file, with so many RRsets each.
    pub fn load_each(&self, files: impl Iterator<Item = (u64, String)>, rrsets: u64) -> Loading {
        let idle_kib = forget_peak(self.central.pid());
        let (used, began, mut file_bytes) = (self.central.cpu_seconds(), Instant::now(), 0);
        let mut making_s = 0.0;
        let mut made = Instant::now();
        for (zone, file) in files {
            making_s += made.elapsed().as_secs_f64();
            file_bytes += file.len() as u64;
            self.add(&contents::apex(zone), file, rrsets);
            made = Instant::now();
        }
        let wall_s = began.elapsed().as_secs_f64() - making_s;
        let answered_cpu_s = self.central.cpu_seconds() - used;
        settle(&self.central);
        Loading {
            answered_cpu_s,
            settled_cpu_s: self.central.cpu_seconds() - used,
            wall_s,
            file_bytes,
            idle_kib,
            peak_kib: Memory::of(self.central.pid()).resident_kib,
            resident_kib: process::resident_kib(self.central.pid()),
        }
    }

    fn add(&self, apex: &str, file: String, rrsets: u64) {
        let made = self.api.send_json("POST".parse().expect("a method"), "/api/v2/zones", &json!({ "zone": apex }));
        assert_eq!(made.status, 201, "{}", made.text());
        self.upload(made.json()["zone_id"].as_u64().expect("an id"), file, rrsets);
    }

    /// Uploads the file of a zone, which adds so many RRsets.
    pub fn upload(&self, zone_id: u64, file: String, added: u64) {
        let url = self.api.url(&format!("/api/v2/zones/{zone_id}/file"), &[]);
        let put = "PUT".parse().expect("a method");
        let imported = self.api.send(put, url, &[("content-type", "text/dns")], file.into_bytes()).expect("the central answers");
        assert_eq!(imported.status, 200, "{}", imported.text());
        assert_eq!(imported.json()["added"].as_u64(), Some(added), "{}", imported.text());
    }

    /// The id of the zone that was added first.
    pub fn first_zone(&self) -> u64 {
        let zones = self.api.get("/api/v2/zones", &[("limit", "1")], "application/json").json();
        zones[0]["zone_id"].as_u64().expect("an id")
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) {
        self.central.stop();
        self.central.start_again();
    }
}
