use super::*;
use expect_test::expect;
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

fn rrset(owner: &str, rtype: u16, ttl: u32, rdatas: &[&[u8]]) -> Rrset {
    Rrset {
        resource_id: 7,
        label: None,
        owner: name(owner),
        rtype: RecordType::new(rtype),
        ttl,
        rdatas: rdatas.iter().map(|rdata| (*rdata).into()).collect(),
    }
}

fn txt(text: &[u8]) -> Vec<u8> {
    text.chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect()
}

fn plan(rrsets: Vec<Rrset>) -> Plan {
    Plan::new(name("example."), rrsets, 60).unwrap()
}

fn two() -> Plan {
    plan(vec![
        rrset("www.example.", 1, 3600, &[&[192, 0, 2, 1], &[192, 0, 2, 2]]),
        rrset("old.example.", 5, 300, &[b"\x03www\x07example\x00"]),
    ])
}

fn update(plan: &Plan, stage: Stage) -> Export {
    nsupdate(plan, stage, Client::Nsupdate, Some("192.0.2.53:53".parse().unwrap())).unwrap()
}

/// The commands of a script, without comments.
fn commands(script: &str) -> Vec<&str> {
    script.lines().filter(|line| !line.starts_with(';')).collect()
}

#[test]
fn a_removal_requires_the_values_and_its_undo_requires_their_absence() {
    let export = update(&two(), Stage::Removed);
    expect![[r#"
        ; Remove 2 RRsets from the zone example.
        ; Run: nsupdate -v -k KEYFILE THIS_FILE, or knsupdate -v -k KEYFILE THIS_FILE
        ; It is applied as a whole, or refused if the zone has changed since the plan was made.
        server 192.0.2.53 53
        zone example.
        ; chunk 1 of 1
        prereq yxrrset old.example. IN CNAME www.example.
        prereq yxrrset www.example. IN A 192.0.2.1
        prereq yxrrset www.example. IN A 192.0.2.2
        update delete old.example. IN CNAME
        update delete www.example. IN A
        send
    "#]]
    .assert_eq(&export.apply);
    expect![[r#"
        ; Undo the removal of 2 RRsets from the zone example.
        ; Run: nsupdate -v -k KEYFILE THIS_FILE, or knsupdate -v -k KEYFILE THIS_FILE
        ; It is applied as a whole, or refused if the zone has changed since the plan was made.
        server 192.0.2.53 53
        zone example.
        ; chunk 1 of 1
        prereq nxdomain old.example.
        prereq nxrrset www.example. IN A
        prereq nxrrset www.example. IN CNAME
        update add old.example. 300 IN CNAME www.example.
        update add www.example. 3600 IN A 192.0.2.1
        update add www.example. 3600 IN A 192.0.2.2
        send
    "#]]
    .assert_eq(&export.undo);
}

#[test]
fn a_ttl_is_lowered_by_replacing_the_values_and_its_undo_restores_it() {
    let export = update(&two(), Stage::TtlLowered);
    expect![[r#"
        ; Lower the TTL of 2 RRsets of the zone example. to 60 s
        ; Run: nsupdate -v -k KEYFILE THIS_FILE, or knsupdate -v -k KEYFILE THIS_FILE
        ; It is applied as a whole, or refused if the zone has changed since the plan was made.
        server 192.0.2.53 53
        zone example.
        ; chunk 1 of 1
        prereq yxrrset old.example. IN CNAME www.example.
        prereq yxrrset www.example. IN A 192.0.2.1
        prereq yxrrset www.example. IN A 192.0.2.2
        update delete old.example. IN CNAME
        update add old.example. 60 IN CNAME www.example.
        update delete www.example. IN A
        update add www.example. 60 IN A 192.0.2.1
        update add www.example. 60 IN A 192.0.2.2
        send
    "#]]
    .assert_eq(&export.apply);
    expect![[r#"
        ; Give 2 RRsets of the zone example. the original TTL again
        ; Run: nsupdate -v -k KEYFILE THIS_FILE, or knsupdate -v -k KEYFILE THIS_FILE
        ; It is applied as a whole, or refused if the zone has changed since the plan was made.
        server 192.0.2.53 53
        zone example.
        ; chunk 1 of 1
        prereq yxrrset old.example. IN CNAME www.example.
        prereq yxrrset www.example. IN A 192.0.2.1
        prereq yxrrset www.example. IN A 192.0.2.2
        update delete old.example. IN CNAME
        update add old.example. 300 IN CNAME www.example.
        update delete www.example. IN A
        update add www.example. 3600 IN A 192.0.2.1
        update add www.example. 3600 IN A 192.0.2.2
        send
    "#]]
    .assert_eq(&export.undo);
}

#[test]
fn restoring_is_the_undo_of_removing() {
    let [removed, restored] = [Stage::Removed, Stage::Restored].map(|stage| update(&two(), stage));
    assert_eq!(commands(&removed.undo), commands(&restored.apply));
    assert_eq!(commands(&removed.apply), commands(&restored.undo));
}

#[test]
fn marking_changes_nothing() {
    let export = update(&two(), Stage::Marked);
    assert!(commands(&export.apply).is_empty() && commands(&export.undo).is_empty());
}

#[test]
fn a_ttl_that_is_low_already_is_left_alone() {
    let plan = plan(vec![rrset("a.example.", 1, 60, &[&[1, 2, 3, 4]])]);
    assert!(commands(&update(&plan, Stage::TtlLowered).apply).is_empty());
    assert!(!commands(&update(&plan, Stage::Removed).apply).is_empty());
}

#[test]
fn an_rrset_whose_ttl_is_low_already_is_required_to_be_unchanged() {
    let low = rrset("a.example.", 1, 60, &[&[1, 2, 3, 4]]);
    let plan = plan(vec![low, rrset("b.example.", 1, 61, &[&[1, 2, 3, 4]])]);
    let export = update(&plan, Stage::TtlLowered);
    for script in [&export.apply, &export.undo] {
        assert!(script.contains("\nprereq yxrrset a.example. IN A 1.2.3.4\n"), "{script}");
        assert!(!script.contains("\nupdate delete a.example."), "{script}");
        assert!(script.contains(" 1 RRset "), "{script}");
    }
    assert!(knotc(&plan, Stage::TtlLowered).unwrap().apply.contains("\ntake 'a.example.' A '1.2.3.4'\n"));
}

/// A plan of this many RRsets with an address each.
fn many(count: usize) -> Plan {
    plan((0..count).map(|at| rrset(&format!("n{at:04}.example."), 1, 300, &[&[1, 2, 3, 4]])).collect())
}

/// How often the chunks of a script contain a command.
fn in_chunks(script: &str, command: &str) -> Vec<usize> {
    script.split_inclusive("send\n").map(|chunk| chunk.matches(command).count()).collect()
}

#[test]
fn a_plan_that_fits_in_one_message_is_one_chunk() {
    for stage in [Stage::TtlLowered, Stage::Removed, Stage::Restored] {
        let export = update(&many(500), stage);
        assert_eq!([&export.apply, &export.undo].map(|script| script.matches("send\n").count()), [1, 1], "{stage:?}");
    }
}

#[test]
fn the_first_chunk_of_a_removal_requires_values_of_later_ones() {
    let script = update(&many(1000), Stage::Removed).apply;
    let changed = in_chunks(&script, "update delete");
    assert!(changed.len() > 2 && changed.iter().sum::<usize>() == 1000, "{changed:?}");
    let required = in_chunks(&script, "prereq yxrrset");
    assert_eq!(required[0], 1000);
    assert_eq!(required[1..], changed[1..]);
    assert!(script.contains("; The first chunk is refused if any of the 1000 RRsets has changed.\n"));
    let larger = update(&many(5000), Stage::Removed).apply;
    let required = in_chunks(&larger, "prereq yxrrset")[0];
    assert!(larger.contains(&format!("any of the first {required} of 5000 RRsets")) && required > 1000, "{required}");
}

#[test]
fn a_chunk_requires_that_the_one_before_it_was_applied() {
    let script = update(&many(1000), Stage::Removed).apply;
    let changed = in_chunks(&script, "update delete");
    let applied = in_chunks(&script, "prereq nxrrset");
    assert_eq!(applied[0], 0);
    assert_eq!(applied[1..], changed[..changed.len() - 1]);
}

#[test]
fn an_undo_has_the_chunks_of_its_stage_and_requires_nothing_of_later_ones() {
    for plan in [many(1000), plan((0..100).map(|at| rrset(&format!("n{at}.example."), 16, 300, &[&txt(&[b'x'; 999])])).collect())]
    {
        let export = update(&plan, Stage::Removed);
        let removed = in_chunks(&export.apply, "update delete");
        assert!(removed.len() > 1);
        assert_eq!(in_chunks(&export.undo, "update add"), removed);
        assert_eq!(in_chunks(&export.undo, " IN CNAME\n"), removed);
    }
}

/// Octets of the records of a chunk, from its text: owner, ten octets, and values, which are no shorter as text.
fn message_bytes(chunk: &str) -> usize {
    let commands = chunk.lines().filter(|line| line.starts_with("prereq ") || line.starts_with("update "));
    let sizes = commands.map(|line| {
        let mut words = line.splitn(6, ' ').skip(2);
        let owner = words.next().unwrap();
        owner.len() + 1 + 10 + words.skip(2).map(str::len).sum::<usize>()
    });
    sizes.sum()
}

#[test]
fn no_message_is_larger_than_a_server_takes() {
    let values: Vec<Vec<u8>> = (0..70u8).map(|at| txt(&[&[b'!' + at; 1][..], &[b'x'; 254]].concat())).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let mixed = (0..400usize).map(|at| {
        let owner = format!("{}.example.", format!("{at:03}").repeat(1 + at % 20));
        rrset(&owner, 16, 300, &values[..1 + at * 7 % 50])
    });
    let plan = plan(mixed.collect());
    for stage in [Stage::TtlLowered, Stage::Removed] {
        let export = update(&plan, stage);
        for script in [&export.apply, &export.undo] {
            let sizes: Vec<usize> = script.split_inclusive("send\n").map(message_bytes).collect();
            assert!(sizes.iter().all(|size_bytes| *size_bytes <= 64_000), "{stage:?}: {sizes:?}");
        }
    }
}

#[test]
fn chunks_that_only_change_ttls_are_independent() {
    let script = update(&many(1000), Stage::TtlLowered).apply;
    assert!(script.matches("send\n").count() > 1);
    assert_eq!(script.matches("nxrrset").count(), 0);
    assert_eq!(script.matches("prereq yxrrset").count(), 1000);
}

#[test]
fn an_rrset_that_fits_in_no_message_is_refused() {
    let large: Vec<Vec<u8>> = (0..30u8).map(|at| vec![at; 1000]).collect();
    let large: Vec<&[u8]> = large.iter().map(|rdata| &rdata[..]).collect();
    let plan = plan(vec![rrset("a.example.", 65280, 300, &large)]);
    assert!(matches!(
        nsupdate(&plan, Stage::TtlLowered, Client::Nsupdate, None),
        Err(Error::RrsetTooLarge { limit_bytes: 40_000, .. })
    ));
    assert!(nsupdate(&plan, Stage::Removed, Client::Nsupdate, None).is_ok());
}

#[test]
fn only_bind_is_told_not_to_check_names() {
    let script = |owner: &str, client| {
        let plan = plan(vec![rrset(owner, 1, 300, &[&[1, 2, 3, 4]])]);
        nsupdate(&plan, Stage::Removed, client, None).unwrap()
    };
    assert!(script("a_b.example.", Client::Nsupdate).undo.contains("\ncheck-names no\n"));
    assert!(!script("a_b.example.", Client::Nsupdate).apply.contains("check-names"), "nothing is added");
    assert!(!script("a_b.example.", Client::Knsupdate).undo.contains("check-names"));
    assert!(!script("*.a-b.example.", Client::Nsupdate).undo.contains("check-names"));
    let mail = plan(vec![rrset("a.example.", 15, 300, &[b"\x00\x01\x01*\x07example\x00"])]);
    assert!(update(&mail, Stage::Removed).undo.contains("\ncheck-names no\n"), "a wildcard is no host name");
}

#[test]
fn a_cname_is_restored_only_where_nothing_else_is() {
    let undo = update(&two(), Stage::Removed).undo;
    assert!(undo.contains("prereq nxdomain old.example.\n"));
    assert!(undo.contains("prereq nxrrset www.example. IN CNAME\n"));
}

#[test]
fn what_breaks_the_zone_is_refused() {
    for (owner, rtype) in [("example.", 2), ("example.", 6), ("example.", 48), ("a.example.", 47), ("a.example.", 46)] {
        let error = Plan::new(name("example."), vec![rrset(owner, rtype, 1, &[b"x"])], 60).unwrap_err();
        assert!(matches!(error, Error::NotRemovable { .. }), "{error}");
    }
    assert!(Plan::new(name("example."), vec![rrset("a.example.", 2, 1, &[b"\x00"])], 60).is_ok());
}

#[test]
fn a_plan_is_checked() {
    let a: &[&[u8]] = &[&[1, 2, 3, 4]];
    let error = |rrsets| Plan::new(name("example."), rrsets, 60).unwrap_err();
    assert!(matches!(error(vec![rrset("a.other.", 1, 1, a)]), Error::OutOfZone { .. }));
    assert!(matches!(error(vec![rrset("a.example.", 1, 1, &[])]), Error::BadPlan { .. }));
    assert!(matches!(error(vec![rrset("a.example.", 1, u32::MAX, a)]), Error::BadPlan { .. }));
    assert!(matches!(error(vec![rrset("a.example.", 1, 1, a), rrset("A.example.", 1, 1, a)]), Error::BadPlan { .. }));
}

#[test]
fn the_knotc_script_is_one_transaction() {
    let export = knotc(&two(), Stage::TtlLowered).unwrap();
    expect![[r##"
        #!/bin/sh
        # Lower the TTL of 2 RRsets of the zone example. to 60 s
        # One transaction: applied as a whole, or not at all if the zone has changed since the plan was made.
        set -eu
        # Set KNOTC to pass options: KNOTC='knotc -s /run/knot/knot.sock' sh THIS_FILE
        KNOTC=${KNOTC:-knotc}
        export LC_ALL=C

        finish() {
            if [ "$open" = yes ]; then
                $KNOTC zone-abort "$zone" >/dev/null 2>&1 || :
                echo "Stopped: the zone $zone is unchanged." >&2
            fi
        }
        stop() {
            printf '%s\n' "$*" >&2
            exit 1
        }
        # take OWNER TYPE VALUE: removes a value that must be there.
        take() {
            $KNOTC zone-unset "$zone" "$1" "$2" "$3" >/dev/null || stop "The zone has no longer this value: $1 $2 $3"
        }
        # absent OWNER [TYPE]: there must be no record of this type, or no record at all.
        absent() {
            if found=$($KNOTC zone-get "$zone" "$@" 2>&1); then
                [ -z "$found" ] || stop "The zone has changed, it also has: $found"
            else
                case $found in
                *'(no such node in zone found)'* | *'(no such record in zone found)'*) ;;
                *) stop "$found" ;;
                esac
            fi
        }
        # put OWNER TTL TYPE VALUE: adds a value.
        put() {
            $KNOTC zone-set "$zone" "$1" "$2" "$3" "$4" >/dev/null || stop "The server refused: $1 $2 $3 $4"
        }

        zone='example.'
        open=no
        trap finish EXIT
        trap 'exit 1' HUP INT TERM
        $KNOTC zone-begin "$zone" >/dev/null
        open=yes

        take 'old.example.' CNAME 'www.example.'
        absent 'old.example.' CNAME
        take 'www.example.' A '192.0.2.1'
        take 'www.example.' A '192.0.2.2'
        absent 'www.example.' A
        put 'old.example.' 60 CNAME 'www.example.'
        put 'www.example.' 60 A '192.0.2.1'
        put 'www.example.' 60 A '192.0.2.2'

        $KNOTC zone-diff "$zone"
        $KNOTC zone-commit "$zone" >/dev/null
        open=no
    "##]]
    .assert_eq(&export.apply);
    let undo = knotc(&two(), Stage::Removed).unwrap().undo;
    let (_, body) = undo.split_once("open=yes\n\n").unwrap();
    expect![[r#"
        absent 'old.example.'
        absent 'www.example.' A
        absent 'www.example.' CNAME
        put 'old.example.' 300 CNAME 'www.example.'
        put 'www.example.' 3600 A '192.0.2.1'
        put 'www.example.' 3600 A '192.0.2.2'

        $KNOTC zone-diff "$zone"
        $KNOTC zone-commit "$zone" >/dev/null
        open=no
    "#]]
    .assert_eq(body);
}

#[test]
fn a_diff_shows_lines_that_go_and_come() {
    expect![[r#"
        # Lower the TTL of 2 RRsets of the zone example. to 60 s
        --- example. (before)
        +++ example. (ttl_lowered)
        -old.example. 300 IN CNAME www.example.
        +old.example. 60 IN CNAME www.example.
        -www.example. 3600 IN A 192.0.2.1
        -www.example. 3600 IN A 192.0.2.2
        +www.example. 60 IN A 192.0.2.1
        +www.example. 60 IN A 192.0.2.2
    "#]]
    .assert_eq(&diff(&two(), Stage::TtlLowered).apply);
    expect![[r#"
        # Undo the removal of 2 RRsets from the zone example.
        --- example. (removed)
        +++ example. (undone)
        +old.example. 300 IN CNAME www.example.
        +www.example. 3600 IN A 192.0.2.1
        +www.example. 3600 IN A 192.0.2.2
    "#]]
    .assert_eq(&diff(&two(), Stage::Removed).undo);
}

#[test]
fn csv_is_quoted_where_it_must_be() {
    let mut hostile = rrset("a.example.", 16, 300, &[&txt(b"a,\"b\"\n")]);
    hostile.label = Some("=1+1, \"x\"\r\ny".to_owned());
    expect![[r#"
        resource_id,label,zone,host,type,ttl,stage_ttl,data,stage~
        7,"=1+1, ""x""~
        y",example.,a.example.,TXT,300,60,"""a,\""b\""\010""",ttl_lowered~
    "#]]
    .assert_eq(&csv(&plan(vec![hostile]), Stage::TtlLowered).replace("\r\n", "~\n"));
}

/// Octets that mean something to a shell, to a zone file or to a spreadsheet, and others.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![prop::sample::select(b"'\"\\$`;()\n\r\0 \t#@*-!{}&|<>~\x7f".to_vec()), any::<u8>()];
    prop::collection::vec(octet, 1..20)
}

/// The words of the lines of a script that call one of its functions, as a shell without expansions splits them.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted) = (vec![], None::<String>, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            letter if quoted => word.get_or_insert_default().push(letter),
            '\\' => word.get_or_insert_default().push(letters.next()?),
            ' ' => words.extend(word.take()),
            letter if letter.is_ascii_alphanumeric() => word.get_or_insert_default().push(letter),
            _ => return None,
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

proptest! {
    #[test]
    fn no_data_can_add_a_command(labels in prop::collection::vec(hostile(), 1..4), text in hostile(), rtype in any::<u16>()) {
        let owner = labels.iter().fold(name("example."), |name, label| name.below(label).unwrap());
        let rtype = if rtype & 1 == 0 { 16 } else { rtype };
        prop_assume!(removal::refusal(&name("example."), &owner, RecordType::new(rtype)).is_none());
        let rrset = Rrset { owner: owner.clone(), ..rrset("a.example.", rtype, 300, &[&txt(&text)]) };
        let plan = plan(vec![rrset]);
        for stage in [Stage::TtlLowered, Stage::Removed, Stage::Restored] {
            let update = update(&plan, stage);
            let knot = knotc(&plan, stage).unwrap();
            for script in [&update.apply, &update.undo] {
                prop_assert!(script.bytes().all(|octet| octet == b'\n' || (b' '..=b'~').contains(&octet)));
                prop_assert!(commands(script).len() <= 7, "{script}");
                for line in commands(script).iter().filter(|line| line.starts_with("prereq") || line.starts_with("update")) {
                    let words: Vec<&str> = line.split(' ').collect();
                    prop_assert_eq!(words[2], text::name(&owner));
                }
            }
            for script in [&knot.apply, &knot.undo] {
                prop_assert!(script.bytes().all(|octet| octet == b'\n' || (b' '..=b'~').contains(&octet)));
                let (_, calls) = script.split_once("open=yes\n\n").unwrap();
                let (calls, _) = calls.split_once("\n\n").unwrap();
                for line in calls.lines() {
                    let words = words(line).unwrap();
                    prop_assert!(["take", "absent", "put"].contains(&&words[0][..]), "{line}");
                    prop_assert_eq!(&words[1], &text::name(&owner));
                    prop_assert!(words.len() <= 5, "{}", line);
                }
            }
        }
    }
}
