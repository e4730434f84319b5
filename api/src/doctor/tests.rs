//! Reports on made-up directories.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use zonepulse_store::Store;

fn question(dir: &Path) -> Question {
    let data = Some(dir.join("data"));
    Question { config: None, data, listen: "127.0.0.1:0".parse().ok(), sql_workers: SqlWorkers::Threads }
}

fn status(examined: &Examined, subject: Subject) -> Status {
    examined.report.checks.iter().find(|check| check.is(subject)).unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_for_a_central_that_was_never_started_has_no_errors() {
    let dir = tempfile::tempdir().unwrap();
    let examined = examine(&question(dir.path())).await;
    assert_eq!(examined.report.count(Status::Error), 0, "{:#?}", examined.report);
    assert_eq!(status(&examined, Subject::Process), Status::Warning);
    assert!(!dir.path().join("data").exists());
    let names: Vec<String> = bundle(examined).files.into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["configuration.toml", "store.txt", "versions.json", "machine.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_the_store_are_known_to_be_secret() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let store = Store::open(&dir.path().join("data/store"), &Default::default()).unwrap();
    let fill = |server: &mut zonepulse_store::Server| {
        server.pull.url = "http://127.0.0.1:9".to_owned();
        server.pull.token = Some("pull-secret-1".to_owned());
        server.overrides.communication = Some(zonepulse_model::Communication::Pull);
        Ok::<_, zonepulse_store::Error>(())
    };
    store.registry().as_owner().make_server("ns1", fill).unwrap();
    store.close().unwrap();
    drop(store);
    fs::set_permissions(dir.path().join("data"), fs::Permissions::from_mode(0o700)).unwrap();
    let examined = examine(&question(dir.path())).await;
    assert_eq!(examined.secrets.hide("a pull-secret-1"), "a (secret)");
    assert_eq!(status(&examined, Subject::Pull), Status::Error, "{:#?}", examined.report);
    assert_eq!(status(&examined, Subject::Store), Status::Ok, "{:#?}", examined.report);
}

#[tokio::test]
async fn without_a_configuration_everything_else_is_skipped() {
    let config = Some(PathBuf::from("/nonexistent/zonepulse.toml"));
    let question = Question { config, data: None, listen: None, sql_workers: SqlWorkers::Threads };
    let examined = examine(&question).await;
    assert_eq!((examined.report.count(Status::Error), examined.report.count(Status::Skipped)), (1, Subject::all().len() - 1));
}
