//! Mappings that can't serve say where and why.

use super::*;

fn message(body: &str) -> String {
    parse(&format!("name = \"x\"\nkind = \"seizure\"\n{body}"))
        .unwrap_err()
        .to_string()
}

#[test]
fn every_mistake_is_named() {
    let cases = [
        ("field = []\nfeild = 1", "unknown field `feild`"),
        (
            "[[field]]\nto = \"plcae\"\ncolumn = \"P\"",
            "field 1: `plcae` is no field of a record, did you mean `place`?",
        ),
        (
            "[[field]]\nto = \"goods[0].knd\"\ncolumn = \"P\"",
            "did you mean `goods[].kind`?",
        ),
        (
            "[[field]]\nto = \"goods.kind\"\ncolumn = \"P\"",
            "`goods.kind` is no field",
        ),
        ("[[field]]\nto = \"place\"", "give either `column` or `value`"),
        (
            "[[field]]\nto = \"place\"\ncolumn = \"P\"\nvalue = \"x\"",
            "give either `column` or `value`",
        ),
        (
            "[[field]]\nto = \"place\"\nvalue = \"x\"\nrequired = true",
            "needs no other options",
        ),
        (
            "[[field]]\nto = \"place\"\ncolumn = \"P\"\ntable = \"nowhere\"",
            "there is no table `nowhere`",
        ),
        (
            "[[field]]\nto = \"place\"\ncolumn = \"P\"\nlist = \"country\"\nsplit = \";\"",
            "give only one of",
        ),
        (
            "[[field]]\nto = \"place\"\ncolumn = \"P\"\nsplit = \";\"",
            "nothing to split",
        ),
        (
            "[[field]]\nto = \"seizure_date\"\ncolumn = \"D\"\ndate = [\"YY-MM-DD\"]",
            "`YY-MM-DD` is no date format",
        ),
        (
            "[[field]]\nto = \"seizure_date\"\ncolumn = \"D\"\ndate = []",
            "at least one format",
        ),
        (
            "[[field]]\nto = \"place\"\ncolumn = \"Q\"\nunit_column = \"U\"\nunit_table = \"t\"",
            "only `goods[…].quantity`",
        ),
        (
            "[[field]]\nto = \"goods[0].value\"\ncolumn = \"Q\"\nnumber = { decimal = \",\", thousands = \",\" }",
            "the same character",
        ),
        (
            "[[field]]\nto = \"goods[n].kind\"\ncolumn = \"K{n}\"\nrepeat = 99",
            "repeat 1 to 16 times",
        ),
        (
            "[owner]\ncolumn = \"C\"\ntable = \"t\"\n[[field]]\nto = \"place\"\ncolumn = \"P\"",
            "owner: there is no table `t`",
        ),
        (
            "[owner]\ncolumn = \"C\"\nbelongs = { MQ = \"f\" }\n[[field]]\nto = \"place\"\ncolumn = \"P\"",
            "`f` is no member id",
        ),
        (
            "key = { only = [\"A\"], except = [\"B\"] }\n[[field]]\nto = \"place\"\ncolumn = \"P\"",
            "either `only` or `except`",
        ),
        (
            "field = []\n[table.t.codes]\n\"A\" = \"1\"\n\"a\" = \"2\"",
            "table `t`: `a` stands in it twice",
        ),
        ("field = []\n[table.t]\nlist = \"u\"", "there is no code list `u`"),
        (
            "field = []\n[table.t]\nlist = \"country\"\ncodes = { \"Here\" = \"QQ\" }",
            "table `t`: `QQ` is no code of the list `country`",
        ),
        (
            "[[field]]\nto = \"place\"\ncolumn = \"Q\"\nunit_table = \"t\"",
            "`unit_table` needs a `unit_column`",
        ),
        (
            "field = []\n[table.t.codes]\n\"A\" = { code = \"1\", with = { \"nowhere\" = \"x\" } }",
            "`nowhere` is no field",
        ),
        (
            "field = []\n[table.t.codes]\n\"A\" = { code = \"1\", times = \"many\" }",
            "is not a number",
        ),
    ];
    for (body, expected) in cases {
        let message = message(body);
        assert!(message.contains(expected), "{body}\n{message}");
    }
    let unknown = Mapping::builtin("unodc", &lists()).unwrap_err().to_string();
    assert_eq!(
        unknown,
        "there is no mapping `unodc`; built in are `unodc-ids`, `icomm-template`"
    );
}
