//! A fleet: a central and a broker in a separate network, and nodes connected by cables.
//!
//! Everything is set up through the API: servers are created with it, and nodes enrol with the
//! command that it returns.

use super::api::Credentials;
use super::dnsperf::{Load, Report};
use super::network::Namespace;
use super::process::{Output, Process};
use super::{Api, Authority, Central, Knot, Probe, RabbitMq};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

/// The address of the central and the broker, for every node.
const HUB: &str = "10.77.0.1";
/// The default port on which a node listens for a pulling central.
const PULL_PORT: u16 = 8054;

/// The hub of all cables, with the central and the broker, both with TLS.
pub struct Hub {
    // Processes in the namespace are dropped before it.
    central: Central,
    _broker: RabbitMq,
    authority: Authority,
    namespace: Namespace,
}

impl Hub {
    /// Starts a central and a broker, and stores their addresses in the settings of all servers.
    pub fn start() -> Self {
        let namespace = Namespace::new("hub");
        namespace.ip(&format!("addr add {HUB}/32 dev lo"));
        let authority = Authority::new();
        let certificate = authority.certify(&[HUB, "localhost"]);
        let broker = RabbitMq::start_in(&namespace, HUB, &certificate);
        broker.control(&["add_user", "fleet", "hush"]);
        broker.control(&["set_permissions", "fleet", ".*", ".*", ".*"]);
        let ca = authority.file();
        let port = broker.tls_port();
        let configuration =
            format!("[rabbitmq]\nurl = \"amqps://fleet:hush@{HUB}:{port}/%2f\"\nca_file = {ca:?}\n[pull]\nca_file = {ca:?}\n");
        let address = SocketAddr::new(HUB.parse().expect("an address"), 8053);
        let central = Central::start_in(&namespace, address, &[], (&authority, &certificate), &configuration);
        let hub = Hub { central, _broker: broker, authority, namespace };
        hub.set(json!({
            "api_url": hub.central.url(), "rabbitmq_address": HUB, "rabbitmq_port": port, "rabbitmq_tls": true,
            "rabbitmq_user": "fleet", "rabbitmq_password": "hush",
        }));
        hub
    }

    /// The central.
    pub fn central(&self) -> &Central {
        &self.central
    }

    /// Stops the central with SIGTERM, and checks its store, which must be sound.
    pub fn check(mut self) -> String {
        self.central.stop();
        self.central.check()
    }

    /// Changes the settings of all servers.
    pub fn set(&self, settings: Value) {
        let response = self.central.api().send_json(Method::PATCH, "/api/v2/settings", &settings);
        assert_eq!(response.status, 200, "{settings}: {}", response.text());
    }

    /// Changes the settings of one server.
    pub fn set_of(&self, node: &Node, settings: Value) {
        let path = format!("/api/v2/pvservers/{}", node.server_id);
        let response = self.central.api().send_json(Method::PATCH, &path, &json!({ "settings": settings }));
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// The version of the settings.
    pub fn settings_version(&self) -> u64 {
        let settings = self.central.api().get("/api/v2/settings", &[], "application/json").json();
        settings["settings_version"].as_u64().expect("a version")
    }

    /// A client for a listener at the end of a cable; its certificate must also be valid for
    /// `localhost`.
    pub fn client(&self, address: SocketAddr, token: &str) -> Api {
        let url = format!("https://localhost:{}", self.namespace.forward(address));
        Api::secure(&url, &self.authority.pem(), Credentials::Token(token.to_owned()))
    }
}

/// A machine with a DNS server and a probe, at the end of a cable.
pub struct Node {
    /// Its name.
    pub name: &'static str,
    /// Its number at the central.
    pub server_id: u32,
    /// Where it may be pulled from.
    pub pull_address: SocketAddr,
    /// Its probe.
    pub probe: Probe,
    traffic: Option<Process>,
    knot: Knot,
    cable: String,
    enroll_command: String,
    enrollment_token: String,
    namespace: Namespace,
}

impl Node {
    /// Connects a cable, creates a server with this communication, enrols, and starts the probe.
    pub fn start(hub: &Hub, number: u8, name: &'static str, communication: &str) -> Self {
        let namespace = Namespace::new(&format!("node{number}"));
        let cable = format!("cable{number}");
        hub.namespace.ip(&format!("link add {cable} type veth peer name eth0 netns {}", namespace.name));
        hub.namespace.ip(&format!("addr add 10.77.{number}.1/24 dev {cable}"));
        hub.namespace.ip(&format!("link set {cable} up"));
        namespace.ip(&format!("addr add 10.77.{number}.2/24 dev eth0"));
        namespace.ip("link set eth0 up");
        namespace.ip(&format!("route add default via 10.77.{number}.1"));
        let knot = Knot::start_in(&namespace, name);

        let pull_address = SocketAddr::from(([10, 77, number, 2], PULL_PORT));
        let server = json!({
            "server": name, "address": pull_address.ip(), "services": ["dns"], "pull_url": format!("https://{pull_address}"),
            "settings": { "communication": communication },
        });
        let response = hub.central.api().send_json(Method::POST, "/api/v2/pvservers", &server);
        assert_eq!(response.status, 201, "{}", response.text());
        let handover = response.json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (enroll_command, enrollment_token) = (text(&handover["enroll_command"]), text(&handover["enrollment_token"]));
        let server_id = handover["server"]["server_id"].as_u64().expect("an id") as u32;
        let probe = Probe::enroll(&namespace, &enroll_command, &enrollment_token, &hub.authority.file());
        let probe = probe.unwrap_or_else(|output| panic!("{enroll_command}: {}{}", output.out, output.err));
        let certificate = hub.authority.certify(&[&pull_address.ip().to_string(), "localhost"]);
        probe.configure("# certificate_file = \"/etc/zonepulse-probe/certificate.pem\"", |key| {
            format!("{key} = {:?}", certificate.certificate)
        });
        probe.configure("# key_file = \"/etc/zonepulse-probe/key.pem\"", |key| format!("{key} = {:?}", certificate.key));
        let traffic = None;
        let mut node =
            Node { name, server_id, pull_address, probe, traffic, knot, cable, enroll_command, enrollment_token, namespace };
        node.probe.start_through(&["/usr/sbin/ip", "netns", "exec", &node.namespace.name], &["--log-level", "debug"]);
        node
    }

    /// Tries to enrol again with the same token.
    pub fn enroll_again(&self, hub: &Hub) -> Option<Output> {
        Probe::enroll(&self.namespace, &self.enroll_command, &self.enrollment_token, &hub.authority.file()).err()
    }

    /// The token that the probe presents to the central.
    pub fn token(&self) -> String {
        let file = self.probe.folder().join("token");
        fs::read_to_string(file).expect("an enrolled probe has a token").trim().to_owned()
    }

    /// Starts querying the DNS server.
    pub fn ask(&mut self, per_second: u32) {
        let load = Load { mode: "udp", port: self.knot.port, per_second };
        self.traffic = Some(load.start_in(&self.namespace, 3600, self.probe.folder()));
    }

    /// Stops querying, and returns dnsperf's report.
    pub fn ask_no_more(&mut self) -> Report {
        let mut traffic = self.traffic.take().expect("it asks");
        assert!(traffic.exited().is_none(), "dnsperf ended by itself: {}", traffic.log());
        traffic.interrupt(Duration::from_secs(20));
        Report::parse(&traffic.log())
    }

    /// The DNS server's own counts of responses by code.
    pub fn responses(&self) -> BTreeMap<String, u64> {
        self.knot.responses()
    }

    /// Disconnects the cable.
    pub fn cut(&self, hub: &Hub) {
        hub.namespace.ip(&format!("link set {} down", self.cable));
    }

    /// Reconnects the cable.
    pub fn mend(&self, hub: &Hub) {
        hub.namespace.ip(&format!("link set {} up", self.cable));
    }
}
