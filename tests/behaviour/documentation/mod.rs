//! The commands of the documentation do what the pages say.
//!
//! A test for each page and world runs its blocks against the real programs. Others make sure that no block is forgotten, and that
//! the description of the SQL tables is that of the program.

mod blocks;
mod worlds;

use blocks::{Block, Expectation, Handling, blocks, pages, read};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use worlds::{WORLDS, World};
use zonepulse_tests::Central;
use zonepulse_tests::needs::test;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for page in pages() {
        for world in WORLDS {
            if of_world(&blocks(&page), world).is_empty() {
                continue;
            }
            let name = format!("the_commands_of_{page}_work_as_written_in_world_{world}").replace(['/', '.', '-'], "_");
            let page = page.clone();
            trials.push(test(&name.to_lowercase(), move || work(&page, world)));
        }
    }
    trials.extend([
        test("every_command_of_the_documentation_is_tested_or_says_why_not", complete),
        test("sums_of_hits_in_the_documentation_count_no_question_twice", sums),
        test("the_tables_of_sql_md_are_those_of_the_program", tables),
    ]);
    trials
}

fn of_world<'a>(blocks: &'a [Block], world: &str) -> Vec<(&'a Block, &'a Expectation)> {
    let tested = blocks.iter().filter_map(|block| match &block.handling {
        Handling::Test(expected) if expected.world == world => Some((block, expected)),
        _ => None,
    });
    tested.collect()
}

fn work(page: &str, world: &str) {
    let blocks = blocks(page);
    if let Err(what) = World::new(world).run(&of_world(&blocks, world)) {
        panic!("{what}");
    }
}

fn complete() {
    let tests: Vec<String> = crate::all().iter().map(|trial| trial.name().to_owned()).collect();
    let (mut wrong, mut tested) = (Vec::new(), 0);
    for block in pages().iter().flat_map(|page| blocks(page)) {
        match &block.handling {
            Handling::Wrong(what) => wrong.push(format!("{}: {what}", block.place)),
            Handling::Test(expected) if !WORLDS.contains(&&*expected.world) => {
                wrong.push(format!("{}: there is no world {:?}", block.place, expected.world));
            }
            Handling::TestedBy(name) if !tests.contains(name) => {
                wrong.push(format!("{}: there is no test {name:?}", block.place));
            }
            Handling::Test(_) => tested += 1,
            Handling::TestedBy(_) | Handling::ByPackages | Handling::Untested => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tested > 40, "{tested} blocks are run: the comments in front of them are not read");
}

/// A sum over requests and responses would count an answered question twice.
fn sums() {
    for block in pages().iter().flat_map(|page| blocks(page)) {
        let has_both = ["dns_", "FROM records"].iter().any(|table| block.text.contains(table));
        assert!(!(block.text.contains("sum(hits)") && has_both && !block.text.contains("action")), "{}", block.place);
    }
}

fn tables() {
    let central = Central::start(&[]);
    let column = |statement: &str, named: &str| {
        let said = central.api().sql(statement, "text/csv").text();
        let at = said.lines().next().and_then(|head| head.split(',').position(|name| name == named));
        let at = at.unwrap_or_else(|| panic!("{statement} has no column {named}: {said}"));
        let values = said.lines().skip(1).map(|line| line.split(',').nth(at).unwrap_or_default().to_owned());
        values.collect::<Vec<_>>()
    };
    let schemas = column("SHOW TABLES", "table_schema");
    let names = column("SHOW TABLES", "table_name");
    let tables = names.into_iter().zip(schemas).filter(|(_, schema)| schema != "information_schema").map(|(name, _)| name);
    let mut described = described();
    for table in tables {
        let found = column(&format!("DESCRIBE {table}"), "column_name");
        let said = described.remove(&table).unwrap_or_else(|| panic!("docs/SQL.md does not describe {table}: {found:?}"));
        assert_eq!(said, found, "the columns of {table} in docs/SQL.md, and as they are");
    }
    assert!(described.is_empty(), "docs/SQL.md describes tables that there are not: {:?}", described.keys());
}

/// The columns of each table in docs/SQL.md: of a Markdown table after `<!-- columns: TABLE… -->`, the first cell of each row.
fn described() -> BTreeMap<String, Vec<String>> {
    let text = read("docs/SQL.md");
    let mut described = BTreeMap::new();
    for part in text.split("<!-- columns: ").skip(1) {
        let (tables, rest) = part.split_once(" -->\n").expect("the comment ends");
        let rows = rest.lines().take_while(|line| line.starts_with('|')).skip(2);
        let cells = rows.map(|row| row.split('|').nth(1).expect("a row has cells"));
        let columns = cells.flat_map(|cell| cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()));
        let columns: Vec<String> = columns.collect();
        for table in tables.split(' ') {
            assert!(described.insert(table.to_owned(), columns.clone()).is_none(), "{table} is described twice");
        }
    }
    described
}
