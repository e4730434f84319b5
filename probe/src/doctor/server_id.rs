//! Whether the token, the central's saved settings and the waiting batches belong to the configured
//! server. The central refuses batches of any other server than the token's.

use super::central::Owner;
use super::configuration::Known;
use super::subject::Subject;
use crate::settings::Kept;
use crate::spool::survey::Survey;
use zonepulse_doctor::Check;

const SUBJECT: Subject = Subject::ServerId;
/// How many of the newest batches are read.
const MAX_BATCHES: usize = 100;

/// What the spool says about its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traces {
    /// The server that the saved settings are for.
    settings: Option<u32>,
    /// A server of waiting batches that is not the configured one, and their number.
    other: Option<(u32, usize)>,
}

impl Traces {
    pub(super) fn of(known: &Known) -> Traces {
        let (dir, id) = (&known.config.spool.dir, known.config.server_id);
        let settings = Kept::peek(dir).ok().flatten().map(|kept| kept.server_id);
        let survey = Survey::read(dir).unwrap_or_default();
        let servers = survey.newest(MAX_BATCHES).map(|batch| batch.identity().server_id.get());
        let others: Vec<u32> = servers.filter(|server| *server != id).collect();
        Traces { settings, other: others.first().map(|server| (*server, others.len())) }
    }
}

pub(super) fn judge(id: u32, owner: Owner, traces: Traces, file: &str) -> Check {
    let keys = "deliver.http.token or token_file";
    let check = match (owner, traces) {
        (Owner::Server(other), _) if other != id => Check::error(
            SUBJECT,
            format!("server_id is {id}, but the token is that of server {other}: the central refuses the batches"),
            format!("correct server_id or {keys} in {file}; zonepulse-probe enroll --force writes both"),
        ),
        (_, Traces { other: Some((other, batches)), .. }) => Check::warning(
            SUBJECT,
            format!(
                "server_id is {id}, but {batches} of the waiting batches are of server {other}: the central refuses them with this server's token"
            ),
            format!("correct server_id in {file}, or move those batches to the spool of server {other}"),
        ),
        (_, Traces { settings: Some(other), .. }) if other != id => Check::warning(
            SUBJECT,
            format!("server_id is {id}, but the spool was last used for server {other}"),
            format!("correct server_id or spool.dir in {file}, unless the server was renumbered"),
        ),
        (Owner::Server(_), _) => Check::ok(SUBJECT, format!("the token is that of server {id}")),
        (Owner::Unsaid, Traces { settings: Some(_), .. }) => {
            Check::ok(SUBJECT, format!("the spool was last used for server {id}; this central does not say whose the token is"))
        }
        (Owner::Unsaid, _) => Check::skipped(SUBJECT, "this central does not say whose the token is"),
        (Owner::Unknown, _) => Check::skipped(SUBJECT, "the central was not asked whose the token is, or does not know it"),
    };
    check.with("server_id", id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    #[test]
    fn everything_belongs_to_one_server() {
        let traces = |settings, other| Traces { settings, other };
        for (owner, traces, status, said) in [
            (Owner::Server(7), traces(None, None), Status::Ok, "the token is that of server 7"),
            (Owner::Server(8), traces(Some(7), None), Status::Error, "the token is that of server 8"),
            (Owner::Server(7), traces(None, Some((9, 3))), Status::Warning, "3 of the waiting batches are of server 9"),
            (Owner::Server(7), traces(Some(9), None), Status::Warning, "last used for server 9"),
            (Owner::Unsaid, traces(Some(7), None), Status::Ok, "last used for server 7"),
            (Owner::Unsaid, traces(None, None), Status::Skipped, "does not say"),
            (Owner::Unknown, traces(Some(7), None), Status::Skipped, "was not asked"),
        ] {
            let check = judge(7, owner, traces, "p.toml");
            assert!(check.status == status && check.found.contains(said), "{check:?}");
        }
    }
}
