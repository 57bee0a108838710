//! What the command line accepts, refuses and says.

use std::path::Path;

use clap::{CommandFactory, Parser, error::ErrorKind};

use super::{Arguments, Context};

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split(' '))
}

#[test]
fn the_tree_of_commands_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_explains_itself() {
    fn visit(command: &clap::Command, path: &str) {
        let name = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "`{name}` says what it does");
        if command.has_subcommands() {
            command.get_subcommands().for_each(|command| visit(command, &name));
        } else {
            let after = command
                .get_after_help()
                .unwrap_or_else(|| panic!("`{name}` has an example"))
                .to_string();
            assert!(after.contains("icomm "), "`{name}`: {after}");
        }
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "`{name}` explains `{}`",
                argument.get_id()
            );
        }
    }
    for command in Arguments::command().get_subcommands() {
        visit(command, "icomm");
    }
}

#[test]
fn global_options_stand_anywhere() {
    let arguments = parse("icomm status --json --home /srv/ke").unwrap();
    let context = Context::new(arguments.global);
    assert!(context.output.is_json());
    assert_eq!(context.home, Path::new("/srv/ke"));
    assert!(parse("icomm --home /srv/ke --api unix:/run/a.sock record list UG/main --from 3").is_ok());
}

#[test]
fn wrong_command_lines_are_refused() {
    for (line, kind) in [
        ("icomm", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("icomm records", ErrorKind::InvalidSubcommand),
        ("icomm record get", ErrorKind::MissingRequiredArgument),
        ("icomm status --api nowhere", ErrorKind::ValueValidation),
        ("icomm record submit a.json --key 12", ErrorKind::ValueValidation),
        ("icomm agreement suspend ke-ug", ErrorKind::MissingRequiredArgument),
        ("icomm record list KE/main --from x", ErrorKind::ValueValidation),
    ] {
        assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
    }
}
