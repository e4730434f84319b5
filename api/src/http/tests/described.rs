//! The OpenAPI document says what the calls do.

use super::*;
use crate::http::question::values::{DEFAULT_LIMIT, MAX_LIMIT};
use expect_test::expect_file;
use std::collections::BTreeSet;
use std::time::Duration;
use zonepulse_query::{By, Filter, Now, Page, TimeRange};

#[tokio::test]
async fn the_served_document_is_the_golden_one() {
    let served = setup().send("GET", DOCUMENT_PATH, &[], "").await;
    let served: serde_json::Value = serde_json::from_str(&served.body).unwrap();
    // An absolute path: a relative one is looked up from the topmost folder with a Cargo.toml, the project's or not.
    expect_file![zonepulse_fixtures::project().join("api/openapi.json")]
        .assert_eq(&format!("{}\n", serde_json::to_string_pretty(&served).unwrap()));
}

#[test]
fn every_call_parameter_and_answer_is_described() {
    let document = serde_json::to_value(document()).unwrap();
    let described = |value: &serde_json::Value| value["description"].as_str().is_some_and(|text| !text.is_empty());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(call["summary"].is_string() && described(call), "{name}");
            for parameter in call["parameters"].as_array().into_iter().flatten() {
                assert!(described(parameter), "{name} {parameter}");
            }
            for (status, response) in call["responses"].as_object().unwrap() {
                assert!(described(response), "{name} {status}");
                for header in response["headers"].as_object().into_iter().flatten() {
                    assert!(described(header.1), "{name} {status} {header:?}");
                }
            }
        }
    }
}

/// An inlined type with a description or a default beside it is told as all of two types at once, which no value is.
#[test]
fn no_value_is_documented_as_of_two_types() {
    fn walk(value: &serde_json::Value, path: &str) {
        if let Some(parts) = value.get("allOf").and_then(serde_json::Value::as_array) {
            let types: BTreeSet<&str> = parts.iter().filter_map(|part| part["type"].as_str()).collect();
            assert!(types.len() < 2, "{path} is of the types {types:?}");
        }
        match value {
            serde_json::Value::Object(members) => {
                members.iter().for_each(|(name, member)| walk(member, &format!("{path}/{name}")))
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, path)),
            _ => {}
        }
    }
    walk(&serde_json::to_value(document()).unwrap(), "");
}

#[test]
fn the_documented_parameters_are_those_that_are_accepted() {
    let document = serde_json::to_value(document()).unwrap();
    for call in ["raw", "aggregate", "rps", "coverage"] {
        let path = format!("/api/v2/monitoring/dns/{call}");
        let parameters = document["paths"][&path]["get"]["parameters"].as_array().unwrap();
        let documented: BTreeSet<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let uri = format!("{path}?nonsense=1").parse().unwrap();
        let refused = match call {
            "raw" => crate::http::question::parameters::Raw::read(&uri, Now::since_epoch(Duration::ZERO)).unwrap_err(),
            "aggregate" => {
                crate::http::question::parameters::Aggregate::read(&uri, Now::since_epoch(Duration::ZERO)).unwrap_err()
            }
            "rps" => crate::http::question::parameters::Rates::read(&uri, Now::since_epoch(Duration::ZERO)).unwrap_err(),
            _ => crate::http::question::parameters::Coverage::read(&uri, Now::since_epoch(Duration::ZERO)).unwrap_err(),
        };
        let (_, accepted) = refused.detail().split_once("this call has ").unwrap();
        assert_eq!(documented, accepted.split(", ").collect(), "{call}");
    }
}

#[test]
fn the_documented_page_sizes_are_those_that_are_checked() {
    let document = serde_json::to_value(document()).unwrap();
    let calls = document["paths"].as_object().unwrap().values().filter_map(|item| item["get"]["parameters"].as_array());
    let limits: Vec<_> = calls.flatten().filter(|parameter| parameter["name"] == "limit").map(|limit| &limit["schema"]).collect();
    assert!(limits.len() > 10);
    for schema in limits {
        assert_eq!(schema["maximum"], MAX_LIMIT);
        assert!(schema["default"].is_null() || schema["default"] == DEFAULT_LIMIT, "{schema}");
    }
}

#[test]
fn the_documented_parameters_of_metrics_are_those_that_are_accepted() {
    let document = serde_json::to_value(document()).unwrap();
    for call in ["raw", "aggregate", "metrics"] {
        let path = format!("/api/v2/monitoring/system/{call}");
        let parameters = document["paths"][&path]["get"]["parameters"].as_array().unwrap();
        let documented: BTreeSet<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let uri = format!("{path}?nonsense=1").parse().unwrap();
        let refused = match call {
            "raw" => crate::http::question::parameters::SystemRaw::read(&uri, Now::since_epoch(Duration::ZERO)).unwrap_err(),
            "aggregate" => {
                crate::http::question::parameters::SystemAggregate::read(&uri, Now::since_epoch(Duration::ZERO)).unwrap_err()
            }
            _ => crate::http::question::parameters::SystemSeries::read(&uri).unwrap_err(),
        };
        let (_, accepted) = refused.detail().split_once("this call has ").unwrap();
        assert_eq!(documented, accepted.split(", ").collect(), "{call}");
    }
}

#[tokio::test]
async fn the_documented_fields_are_those_of_the_answers() {
    let setup = setup();
    let engine = setup.app.central().engine();
    let (filter, range, page) = (Filter::default(), TimeRange::default(), Page::first(1));
    let all = By::RECORD.and(By::SERVER).and(By::ACTION);
    let fields = |answers: &[zonepulse_query::Answer]| -> BTreeSet<String> {
        answers.iter().flat_map(|answer| answer.schema.fields().iter().map(|field| field.name().clone())).collect()
    };
    let raw = engine.raw(&filter, range, &page).await.unwrap();
    let totals = engine.totals(&filter, range, all, &page).await.unwrap();
    let series = engine.series(&filter, range, zonepulse_query::Bucket::M5, all, &page).await.unwrap();
    let over = engine.totals_over(&filter, range, all, &page).await.unwrap();
    let rps = engine.rps(&filter, range, None, all, &page).await.unwrap();
    let coverage = engine.coverage(&[], range, &page).await.unwrap();
    let metrics = zonepulse_query::SystemFilter::default();
    let values = engine.system_raw(&metrics, range, &page).await.unwrap();
    let buckets = engine.system_aggregate(&metrics, range, zonepulse_query::Bucket::M5, &page).await.unwrap();
    let known = engine.system_series(&page).await.unwrap();
    let document = serde_json::to_value(document()).unwrap();
    for (schema, answers) in [
        ("SystemPoint", vec![values]),
        ("SystemBucket", vec![buckets]),
        ("SystemMetric", vec![known]),
        ("DnsPoint", vec![raw]),
        ("DnsAggregate", vec![totals, over, series]),
        ("DnsRate", vec![rps]),
        ("CoverageReport", vec![coverage]),
    ] {
        let properties = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), fields(&answers), "{schema}");
    }
}
