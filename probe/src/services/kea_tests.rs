use super::*;
use crate::system::Reading;

/// Answers of Kea 2.2.0 after three leases, one of them declined, and after four solicits.
const ANSWER4: &[u8] = include_bytes!("../../tests/answers/kea4.json");
const ANSWER6: &[u8] = include_bytes!("../../tests/answers/kea6.json");

fn parsed(answer: impl AsRef<[u8]>, family: Family) -> Result<Sample, Problem> {
    parse(answer.as_ref(), family)
}

/// Of a DHCPv4 server that has received a packet, and has these statistics besides.
fn with(statistics: &str) -> Sample {
    parsed(format!(r#"{{"result":0,"arguments":{{"pkt4-received":[[1,"now"]]{statistics}}}}}"#), Family::V4).unwrap()
}

fn gauges(sample: &Sample) -> Vec<(&str, &str, f64)> {
    sample.gauges.iter().map(|Reading { metric, label, value }| (metric.as_ref(), label.as_ref(), *value)).collect()
}

/// The counters that are not zero.
fn counters(sample: &Sample) -> Vec<(&str, &str, u64)> {
    let told = sample.counters.iter().filter(|(_, total)| **total > 0);
    told.map(|((metric, label), total)| (metric.as_ref(), label.as_str(), *total)).collect()
}

#[test]
fn leases_and_packets_of_dhcpv4_are_those_in_kea_s_answer() {
    let sample = parsed(ANSWER4, Family::V4).unwrap();
    let expected = [
        ("dhcp4_subnets", "", 2.0),
        ("dhcp4_total_addresses", "total", 306.0),
        ("dhcp4_total_addresses", "1", 50.0),
        ("dhcp4_total_addresses", "7", 256.0),
        ("dhcp4_assigned_addresses", "total", 3.0),
        ("dhcp4_assigned_addresses", "1", 3.0),
        ("dhcp4_assigned_addresses", "7", 0.0),
        ("dhcp4_declined_addresses", "total", 1.0),
        ("dhcp4_declined_addresses", "1", 1.0),
        ("dhcp4_declined_addresses", "7", 0.0),
    ];
    assert_eq!(gauges(&sample), expected);
    let expected = [
        ("dhcp4_packets_received_per_s", "decline", 1),
        ("dhcp4_packets_received_per_s", "discover", 8),
        ("dhcp4_packets_received_per_s", "request", 3),
        ("dhcp4_packets_received_per_s", "total", 12),
        ("dhcp4_packets_sent_per_s", "ack", 3),
        ("dhcp4_packets_sent_per_s", "offer", 8),
        ("dhcp4_packets_sent_per_s", "total", 11),
    ];
    assert_eq!(counters(&sample), expected);
    let zeros = [
        ("dhcp4_packets_dropped_per_s", "total"),
        ("dhcp4_packets_dropped_per_s", "parse-failed"),
        ("dhcp4_allocation_failures_per_s", "total"),
        ("dhcp4_allocation_failures_per_s", "no-pools"),
    ];
    for (metric, label) in zeros {
        assert_eq!(sample.counters.get(&(metric.into(), label.to_owned())), Some(&0), "{metric} {label}");
    }
}

#[test]
fn addresses_and_prefixes_of_dhcpv6_are_told_apart_and_what_kea_cannot_count_is_left_out() {
    let sample = parsed(ANSWER6, Family::V6).unwrap();
    let expected = [
        ("dhcp6_subnets", "", 2.0),
        // The second subnet has more addresses than Kea 2.2 can count.
        ("dhcp6_total_addresses", "1", 281_474_976_710_656.0),
        ("dhcp6_assigned_addresses", "total", 0.0),
        ("dhcp6_assigned_addresses", "1", 0.0),
        ("dhcp6_assigned_addresses", "2", 0.0),
        ("dhcp6_declined_addresses", "total", 0.0),
        ("dhcp6_declined_addresses", "1", 0.0),
        ("dhcp6_declined_addresses", "2", 0.0),
        ("dhcp6_total_prefixes", "total", 256.0),
        ("dhcp6_total_prefixes", "1", 256.0),
        ("dhcp6_total_prefixes", "2", 0.0),
        ("dhcp6_assigned_prefixes", "total", 0.0),
        ("dhcp6_assigned_prefixes", "1", 0.0),
        ("dhcp6_assigned_prefixes", "2", 0.0),
    ];
    assert_eq!(gauges(&sample), expected);
    let expected = [
        ("dhcp6_packets_received_per_s", "solicit", 4),
        ("dhcp6_packets_received_per_s", "total", 4),
        ("dhcp6_packets_sent_per_s", "advertise", 4),
        ("dhcp6_packets_sent_per_s", "total", 4),
    ];
    assert_eq!(counters(&sample), expected);
}

#[test]
fn numbers_larger_than_64_bits_are_values() {
    let answer = r#"{"result":0,"arguments":{"pkt6-sent":[[1,""]],"subnet[9].total-nas":[[79228162514264337593543950336,""]]}}"#;
    let sample = parsed(answer, Family::V6).unwrap();
    let total = gauges(&sample).into_iter().find(|(metric, label, _)| (*metric, *label) == ("dhcp6_total_addresses", "total"));
    assert!(total.is_some_and(|(.., value)| (value / 2f64.powi(96) - 1.0).abs() < 1e-9), "{total:?}");
}

#[test]
fn what_is_missing_unknown_or_of_another_type_is_left_out() {
    let odd = r#", "a": 1, "b": [], "c": [[]], "d": null, "e": {"f": [1]}, "pkt4-ack-sent": "7", "pkt4-nak-sent": [["7"]],
        "pkt4-offer-sent": [true], "pkt4-x-sent": [[-1]], "subnet[1].assigned-addresses": [["many"]], "subnet[x].total-addresses": [[1]],
        "subnet[1].pool[0].assigned-addresses": [[4]], "subnet[-1].total-addresses": [[1]], "subnet[2]": [[1]]"#;
    let sample = with(odd);
    assert_eq!(gauges(&sample), [("dhcp4_subnets", "", 0.0)]);
    assert_eq!(sample.counters.len(), 1, "{:?}", sample.counters);
}

#[test]
fn all_subnets_count_and_those_with_the_lowest_ids_have_series() {
    let last = MAX_SUBNETS as u64 + 10;
    let subnet = |id: u64| {
        format!(r#","subnet[{id}].assigned-addresses":[[{id},"now"],[0,"before"]],"subnet[{id}].total-addresses":[[1000,"now"]]"#)
    };
    // In the order in which Kea sends them: as text.
    let mut subnets: Vec<String> = (1..=last).map(subnet).collect();
    subnets.sort();
    let sample = with(&subnets.concat());
    let gauges = gauges(&sample);
    let value =
        |metric: &str, label: &str| gauges.iter().find(|gauge| (gauge.0, gauge.1) == (metric, label)).map(|gauge| gauge.2);
    assert_eq!(value("dhcp4_subnets", ""), Some(last as f64));
    assert_eq!(value("dhcp4_assigned_addresses", "total"), Some((last * (last + 1) / 2) as f64));
    assert_eq!(value("dhcp4_assigned_addresses", "1"), Some(1.0));
    assert_eq!(value("dhcp4_assigned_addresses", "128"), Some(128.0));
    assert_eq!(value("dhcp4_assigned_addresses", "129"), None);
    assert_eq!(gauges.len(), 1 + 2 * (1 + MAX_SUBNETS));
}

#[test]
fn an_answer_that_cannot_be_used_says_why() {
    let refused = |answer: &[u8]| parsed(answer, Family::V4).unwrap_err().to_string();
    assert_eq!(refused(b""), "its answer is incomplete");
    assert_eq!(refused(&ANSWER4[..1000]), "its answer is incomplete");
    for answer in ["rubbish", "[]", "{}", r#"{"result":"0"}"#, r#"{"result":0,"arguments":[]}"#] {
        assert_eq!(refused(answer.as_bytes()), "its answer is not that of Kea", "{answer}");
    }
    let unsupported = br#"{ "result": 2, "text": "'statistic-get-all' command\nnot supported." }"#;
    assert_eq!(refused(unsupported), "it refused: 'statistic-get-all' commandnot supported.");
    assert!(refused(ANSWER6).contains("another server"));
    assert!(refused(br#"{"result":0}"#).contains("another server"));
}

#[test]
fn an_answer_is_bounded() {
    let refused = |answer: &str| parsed(answer, Family::V4).unwrap_err().to_string();
    let many: String = (0..=MAX_STATISTICS).map(|at| format!(r#""pkt4-x{at}-sent":[[1,""]],"#)).collect();
    assert_eq!(refused(&format!(r#"{{"arguments":{{{many}"a":[[1]]}},"result":0}}"#)), "its answer has too many statistics");
    for quote in ["", "\\\""] {
        let long = format!(r#"{{"{quote}{}":1,"result":0}}"#, "x".repeat(MAX_TEXT_BYTES + 1));
        assert_eq!(refused(&long), "its answer has a text that is too long");
    }
    // Endless, although each part is valid.
    let endless = std::io::repeat(b' ');
    assert_eq!(parse(endless, Family::V4).unwrap_err().to_string(), "its answer is too long");
    let nested = format!(r#"{{"arguments":{{"a":{}"#, "[".repeat(100_000));
    assert_eq!(refused(&nested), "its answer is not that of Kea");
}

#[test]
fn texts_as_long_as_allowed_pass_whatever_they_contain() {
    let name = format!("\\\"\\\\{}", "x".repeat(MAX_TEXT_BYTES - 4));
    assert_eq!(with(&format!(r#","{name}":[[1,"{name}"]]"#)).counters.len(), 1);
}
