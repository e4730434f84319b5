//! Names of the previous release are accepted with a warning, and answers contain one secret each.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;
use zonepulse_fixtures::{Format, LinkType, Message, capture, udp};
use zonepulse_tests::api::{number, text};
use zonepulse_tests::batches::{REQUEST, batch, point, response, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{Output, program_command, run, run_with_input, write_private};
use zonepulse_tests::{Central, Probe, RabbitMq, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("old_configurations_start_both_programs_warn_and_deliver", deliver),
        test("old_variables_are_taken_with_a_warning", variables),
        test("a_configuration_with_both_names_is_refused_with_both", both),
        test("an_old_option_is_taken_with_a_warning_and_not_beside_the_new_one", options),
        test("metrics_of_rabbitmq_have_their_old_names_besides", metrics),
        test("a_broker_is_tried_with_the_old_names_too", trial),
        test("sql_answers_with_action_and_rcode_and_takes_kind_with_a_warning", kind),
        test("a_server_that_is_added_is_handed_over_with_one_secret", one_secret),
    ]
}

const WITHIN: Duration = Duration::from_secs(30);

fn deliver() {
    let broker = RabbitMq::shared();
    let old = format!("[amqp]\nurl = \"{}\"\nqueue = \"names\"\nverify = true\n", broker.url());
    let central = Central::start_configured(&["old"], &old);
    for (old, new) in [("amqp", "rabbitmq"), ("rabbitmq.verify", "rabbitmq.verify_ca")] {
        let log = central.log();
        let warned = log.lines().any(|line| line.contains("WARN") && line.contains(&format!("{old} is now called {new};")));
        assert!(warned, "{log}");
    }
    let server = &central.servers[0];
    let deliver = format!(
        "via = \"amqp\"\n[deliver.amqp]\nurl = \"{}\"\nqueue = \"names\"\n[deliver.http]\ntoken = \"{}\"\n",
        broker.url(),
        server.token
    );
    let probe = Probe::new(&Settings { server_id: server.id, deliver, ..Settings::spooled() });
    let query = Message::query("Old.Example", 1).bytes();
    let [client, server] = ["192.0.2.10:40000", "192.0.2.53:53"].map(|address| address.parse().expect("an address"));
    let path = probe.folder().join("one.pcap");
    let packet = udp(unix_ms() * 1000, client, server, &query);
    fs::write(&path, capture(Format::Pcap, LinkType::Ethernet, &[packet])).expect("a test's folder is writable");
    let said = probe.replay(&path).err;
    for warning in [
        "deliver.via is now called deliver.communication;",
        "deliver.amqp is now called deliver.rabbitmq;",
        "deliver.communication = \"amqp\" is now called \"rabbitmq\";",
    ] {
        assert!(said.lines().any(|line| line.contains("WARN") && line.contains(warning)), "{warning}: {said}");
    }
    let row = eventually("the hit has arrived", Duration::from_secs(20), || central.api().rows("dns/aggregate", &[]).pop());
    assert_eq!((text(&row, "host"), number(&row, "hits")), ("old.example.", 1));
}

fn check_config(program: &str, command: &str, configuration: &str, environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("config.toml");
    write_private(&file, configuration);
    let mut check = program_command(program);
    check.args([command, "--check-config", "--config"]).arg(&file).envs(environment.iter().copied());
    run(&mut check, WITHIN)
}

fn variables() {
    // A test machine's disk need not have as much free space as the default requires.
    let central = "data = \"/tmp\"\nstore.min_free_bytes = 0\n";
    let said = check_config("zonepulse", "serve", central, &[("ZONEPULSE_AMQP__QUEUE", "q")]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("\n[rabbitmq]\n") && said.out.contains("\nqueue = \"q\"\n"), "{}", said.out);
    assert!(!said.out.contains("amqp]") && said.err.contains("ZONEPULSE_AMQP is now called ZONEPULSE_RABBITMQ;"), "{}", said.err);
    let probe = "server_id = 1\ndeliver.http.token = \"t\"\nspool.dir = \"/tmp\"\nspool.min_free_bytes = 0\n";
    let said = check_config("zonepulse-probe", "run", probe, &[("ZONEPULSE_PROBE_DELIVER__VIA", "amqp")]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let warning = "ZONEPULSE_PROBE_DELIVER__VIA is now called ZONEPULSE_PROBE_DELIVER__COMMUNICATION;";
    assert!(said.err.contains(warning), "{}", said.err);
}

fn both() {
    for (program, command, configuration, names) in [
        ("zonepulse", "serve", "[amqp]\nqueue = \"a\"\n[rabbitmq]\nqueue = \"b\"\n", ["amqp", "rabbitmq"]),
        ("zonepulse", "serve", "[tls]\nkey = \"/a\"\nkey_file = \"/b\"\n", ["tls.key", "tls.key_file"]),
        (
            "zonepulse-probe",
            "run",
            "server_id = 1\n[deliver]\nvia = \"http\"\ncommunication = \"http\"\n",
            ["deliver.via", "deliver.communication"],
        ),
    ] {
        let said = check_config(program, command, configuration, &[]);
        let [old, new] = names;
        assert_eq!(said.code, Some(1), "{configuration}");
        assert!(said.err.contains(&format!("{old} and {new} are the same")), "{configuration}: {}", said.err);
    }
}

fn options() {
    let plan = |more: &[&str]| {
        let mut command = program_command("zonepulse");
        run(command.args(["plan", "--servers", "1", "--records", "10", "--active", "5"]).args(more), WITHIN)
    };
    let (old, new) = (plan(&["--interval", "30"]), plan(&["--interval-s", "30"]));
    assert_eq!((old.code, new.code), (Some(0), Some(0)), "{}{}", old.err, new.err);
    assert_eq!(old.out, new.out);
    assert!(old.err.contains("--interval is now called --interval-s;") && !new.err.contains("now called"), "{}", old.err);
    let both = plan(&["--interval=30", "--interval-s=30"]);
    assert!(both.code == Some(2) && both.err.contains("--interval and --interval-s are the same"), "{}", both.err);
}

fn metrics() {
    let broker = RabbitMq::shared();
    let central = Central::start_with_broker(&[], &broker.url(), "named");
    let samples = |named: &str| {
        let metrics = central.api().get("/metrics", &[], "text/plain").text();
        let samples = metrics.lines().filter_map(|line| line.strip_prefix(&format!("zonepulse_{named}_")));
        samples.map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("batches are taken", Duration::from_secs(20), || {
        samples("rabbitmq").contains(&"consuming 1".to_owned()).then_some(())
    });
    assert_eq!(samples("amqp"), samples("rabbitmq"));
}

fn trial() {
    let central = Central::start(&[]);
    let body = json!({ "address": "127.0.0.1", "port": 9, "user": "guest", "rabbitmq_password": "guest" });
    let answer = central.api().send_json(Method::POST, "/api/v2/monitoring/testrabbitmqcred", &body).json();
    assert_eq!(answer["outcome"], "connection_refused", "{answer}");
    let warnings = answer["warnings"].as_array().expect("a list");
    assert_eq!(warnings.len(), 3, "{answer}");
    assert!(warnings[0].as_str().is_some_and(|text| text.contains("address is now called rabbitmq_address;")), "{answer}");
}

fn kind() {
    let central = Central::start(&["one"]);
    let start_s = unix_ms() / 3_600_000 * 3600 - 7200;
    let points = [point("a.example.", "A", REQUEST, 7, 0), point("a.example.", "A", response("NXDOMAIN"), 5, 0)];
    send(&central.api_of_server(0), &batch(central.servers[0].id, 1, 0, start_s, &points));
    let ask = |statement: &str| central.api().sql(statement, "text/csv");
    let all = ask("SELECT * FROM dns_raw");
    assert_eq!(all.header("warning"), None);
    let header = all.text().lines().next().unwrap_or_default().replace('"', "");
    let columns: Vec<&str> = header.split(',').collect();
    assert!(columns.contains(&"action") && columns.contains(&"rcode") && !columns.contains(&"kind"), "{header}");
    let old = ask("SELECT sum(hits) AS hits FROM dns_raw WHERE kind IN (4)");
    assert_eq!(old.text(), ask("SELECT sum(hits) AS hits FROM dns_raw WHERE rcode = 'NXDOMAIN'").text());
    assert!(old.text().contains('5'), "{}", old.text());
    assert!(old.header("warning").is_some_and(|warning| warning.contains("kind is now called action and rcode")));
}

/// All words of a text that are as long as a token.
fn tokens(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    words.filter(|word| word.len() == 43).collect()
}

fn one_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let server = |arguments: &[&str]| {
        let output = run(program_command("zonepulse").arg("server").args(arguments).arg("--data").arg(&data), WITHIN);
        assert_eq!(output.code, Some(0), "{arguments:?}: {}", output.err);
        output.out
    };
    for (arguments, member) in [
        (&["add", "ns1"][..], "enrollment_token"),
        (&["add", "ns2", "--credential", "token"], "token"),
        (&["token", "ns2"], "enrollment_token"),
        (&["token", "ns2", "--credential", "token"], "token"),
    ] {
        let said = server(arguments);
        assert_eq!(tokens(&said).len(), 1, "{arguments:?}: {said}");
        assert!(said.contains(&format!("\n{member} = \"{}\"\n", tokens(&said)[0])), "{arguments:?}: {said}");
        assert_eq!(said.contains("\nenroll_command = \"zonepulse-probe enroll http"), member != "token", "{said}");
    }
    let file = folder.path().join("probe.toml");
    let said = server(&["add", "ns3", "--probe-config", file.to_str().expect("it is text")]);
    assert!(tokens(&said).is_empty(), "the file has it: {said}");
    let written = fs::read_to_string(&file).expect("it was written");
    assert_eq!(tokens(&written).len(), 1, "{written}");
    enrolled_as_printed(folder.path());
}

/// What the command line prints can be used to enrol at the central started afterwards.
fn enrolled_as_printed(folder: &Path) {
    let mut central = Central::start(&[]);
    let made = central.api().send_json(Method::POST, "/api/v2/pvservers", &json!({ "server": "ns1" })).json();
    central.stop();
    let mut token = program_command("zonepulse");
    token.args(["server", "token", "ns1", "--url", &central.url(), "--data"]).arg(central.data());
    let said = run(&mut token, WITHIN);
    assert_eq!(said.code, Some(0), "{}", said.err);
    central.start_again();
    let enroll = |secret: &str| {
        let mut command = program_command("zonepulse-probe");
        command.args(["enroll", &central.url(), "-", "--config", "enrolled.toml", "--spool", "spool"]).current_dir(folder);
        run_with_input(&mut command, secret, WITHIN)
    };
    let refused = enroll(made["enrollment_token"].as_str().expect("a text"));
    assert!(refused.code == Some(1) && refused.err.contains("rejects the enrolment token"), "{}", refused.err);
    assert!(
        said.out.contains(&format!("enroll_command = \"zonepulse-probe enroll {} --force -\"", central.url())),
        "{}",
        said.out
    );
    let done = enroll(tokens(&said.out)[0]);
    assert_eq!(done.code, Some(0), "{}", done.err);
}
