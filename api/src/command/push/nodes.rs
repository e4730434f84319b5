//! Which nodes are which servers.

use crate::Error;
use crate::command::block_on;
use serde::Deserialize;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use zonepulse_central::push::Target;
use zonepulse_tools::{Api, Method};

/// Maximum number of nodes in a file.
const MAX_NODES: usize = 1000;
/// Maximum size of a file of nodes, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A node to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// The server.
    pub(super) server_id: u32,
    /// The server, as the user named it.
    pub(super) server: String,
    /// The node.
    pub(super) target: Target,
    /// The host through which it is reached.
    pub(super) jump: Option<Target>,
}

/// A server of the central.
#[derive(Deserialize)]
struct Row {
    server_id: u32,
    server: String,
}

/// Finds a server by name or id.
pub(super) fn server_id(api: &Api, server: &str) -> Result<u32, Error> {
    find(&servers(api)?, server)
}

fn servers(api: &Api) -> Result<Vec<Row>, Error> {
    let parameters = [("limit", "100000".to_owned())];
    let answer = block_on(api.call(Method::Get, "/api/v2/pvservers", &parameters, None, "application/json"))?;
    serde_json::from_slice(&answer).map_err(|error| Error::Config(format!("the answer of the central: {error}")))
}

fn find(servers: &[Row], server: &str) -> Result<u32, Error> {
    let is_it = |row: &&Row| row.server == server || row.server_id.to_string() == server;
    let missing = || Error::Argument(format!("there is no server {server:?}: `zonepulse server list` shows them"));
    servers.iter().find(is_it).map(|row| row.server_id).ok_or_else(missing)
}

/// Reads a file of nodes.
pub(super) fn read(api: &Api, file: &Path) -> Result<Vec<Node>, Error> {
    let failed = |source| Error::File { path: file.to_owned(), source };
    let mut text = String::new();
    match file == Path::new("-") {
        true => io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text),
        false => fs::File::open(file).map_err(failed)?.take(MAX_BYTES).read_to_string(&mut text),
    }
    .map_err(failed)?;
    let lines = parse(&text).map_err(|reason| Error::Argument(format!("{}: {reason}", file.display())))?;
    let servers = servers(api)?;
    let node = |(server, target, jump): Line| Ok(Node { server_id: find(&servers, &server)?, server, target, jump });
    lines.into_iter().map(node).collect()
}

/// A server, its node, and the host through which that is reached.
type Line = (String, Target, Option<Target>);

fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut nodes: Vec<Line> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let wrong = |what: String| format!("line {}: {what}", number + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        let (server, target, jump) = match words.as_slice() {
            [] => continue,
            [server, target] => (*server, *target, None),
            [server, target, jump] => (*server, *target, Some(*jump)),
            _ => return Err(wrong("write SERVER USER@HOST, or SERVER USER@HOST JUMP".to_owned())),
        };
        let target = target.parse().map_err(wrong)?;
        let jump = jump.map(str::parse).transpose().map_err(wrong)?;
        if nodes.iter().any(|(other, ..)| other == server) {
            return Err(wrong(format!("server {server} is there twice")));
        }
        nodes.push((server.to_owned(), target, jump));
    }
    match nodes.len() {
        0 => Err("it names no node".to_owned()),
        1..=MAX_NODES => Ok(nodes),
        more => Err(format!("it names {more} nodes, and at most {MAX_NODES} are done at once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_line_by_line() {
        let nodes = parse("# all of them\nns1 root@192.0.2.1\n\n2 deploy@ns2:2222 gate@jump # behind it\n").unwrap();
        let shown =
            |(server, target, jump): &Line| format!("{server} {target} {}", jump.as_ref().map_or("-".into(), Target::to_string));
        assert_eq!(nodes.iter().map(shown).collect::<Vec<_>>(), ["ns1 root@192.0.2.1 -", "2 deploy@ns2:2222 gate@jump"]);
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        for (text, said) in [
            ("", "names no node"),
            ("ns1\n", "line 1: write SERVER"),
            ("ns1 a@b\nns2 nobody\n", "line 2: \"nobody\" names no user"),
            ("ns1 a@b\nns1 a@c\n", "line 2: server ns1 is there twice"),
            ("ns1 a@b c@d e@f\n", "line 1"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
