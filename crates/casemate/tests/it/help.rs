//! What people read first.

use expect_test::{Expect, expect};

use crate::home::Home;

#[track_caller]
fn check(arguments: &[&str], expected: &Expect) {
    expected.assert_eq(&Home::new().run(arguments).shown());
}

#[test]
fn the_short_help_fits_on_a_screen() {
    check(
        &["-h"],
        &expect![[r#"
            exit 0
            --- stdout
            One guarded gate in front of all your MCP servers

            Usage: casemate [OPTIONS] <COMMAND>

            Commands:
              up            Run the gateway until it is told to stop
              down          Stop the running gateway
              connect       Speak MCP on stdin and stdout with the gateway, starting one when none runs
              add           Add a server to the configuration
              list          List the servers and how they are
              show          Show one server: its state, its tools, what is set for it
              remove        Remove a server from the configuration
              enable        Let clients see a server again
              disable       Keep a server in the configuration, but serve it to nobody
              start         Start a server now instead of at its first call
              stop          Stop a server; calls to it are refused until it is started again
              restart       Stop a server's processes and start it anew
              prepare       Install the packages of servers ahead of time
              logs          Show what a server wrote to stderr
              call          Call a tool and print its answer
              import        Add the servers of any client's `mcpServers` JSON
              run           Run a command in a cell: put `casemate run --` before any server's command
              sandbox       Show what cells can be had here
              service       Keep the gateway running with systemd
              install       Put Casemate into a client's configuration
              uninstall     Take Casemate out of a client's configuration
              key           Create, list and revoke API keys
              policy        Check, explain and try who may do what
              login         Log in at a remote server
              logout        Forget a login at a remote server
              pin           Approve of what servers declare, and see what changed
              secret        Keep secrets for servers, sealed at rest
              sessions      List and end the sessions of clients
              approvals     Answer what people are asked before a call is made
              quarantine    Keep servers, tools and subjects from calls, at once
              interceptors  List the judges outside that are asked about calls and answers
              config        Check and explain the configuration
              doctor        Look for what could keep Casemate from working
              explain       Explain an error code, for example CM1401
              completions   Print shell completions
              man           Print the manual page

            Options:
              -h, --help     Print help (see more with '--help')
              -V, --version  Print version

            Global options:
                  --home <DIR>     Root folder of the installation [env: CASEMATE_HOME] [default: the XDG
                                   folders]
                  --config <FILE>  Configuration file [env: CASEMATE_CONFIG] [default: casemate.toml of the
                                   installation]
                  --json           Print data as JSON on stdout, and errors and warnings as JSON on stderr
              -v, --verbose...     Log more; twice for details, three times for everything
                  --color <WHEN>   When to use colors; NO_COLOR turns them off too [default: auto]

            Start here: `casemate up`, then `casemate install claude-code`.
        "#]],
    );
}

#[test]
fn the_long_help_has_the_reference() {
    let help = Home::new().run(&["--help"]).ok();
    let (_, reference) = help.split_once("Start here").unwrap();
    expect![[r#"
        : `casemate up`, then `casemate install claude-code`.

        Exit codes:
          0  done
          1  failed; the error says why
          2  the command line is wrong
          3  the configuration is wrong
          4  no gateway runs, or it cannot be reached
          5  a tool ran and returned an error
          6  the gateway refused by policy
          125  run: the command was not started; the error says why

        Environment:
          CASEMATE_HOME
              Root folder of one installation: casemate.toml, data/ and run/ live in it. Default: the XDG
              folders.
          CASEMATE_CONFIG
              The configuration file; --config wins over it. Default: casemate.toml of the installation.
          CASEMATE_LISTEN
              The address to listen on; --listen wins over it. Default: the configuration's, else
              127.0.0.1:7332.
          CASEMATE_GATEWAY_*
              Any setting of [gateway]; `casemate config explain gateway` names each. Default: the
              configuration's.
          CASEMATE_LOG
              What is logged on stderr, for example casemate=debug. Default: info for `up`, else warn; -v
              adds.
          CASEMATE_LOG_FORMAT
              `json` logs one JSON object per line. Default: text.
          CASEMATE_PASSPHRASE_FILE
              The file with the passphrase of the secrets; /dev/fd/3 is an open descriptor. Default: asked
              for on the terminal.
          NO_COLOR
              Any non-empty value turns colors off. Default: colors on a terminal.
          XDG_CONFIG_HOME
              Configuration is in casemate/ below it, unless CASEMATE_HOME is set. Default: ~/.config.
          XDG_DATA_HOME
              Data is in casemate/ below it, unless CASEMATE_HOME is set. Default: ~/.local/share.
          XDG_STATE_HOME
              Sockets are in casemate/run/ below it, unless CASEMATE_HOME is set. Default: ~/.local/state.
          DOCKER_HOST
              The container engine for servers with an `image`: unix:// and the path of its socket. Default:
              the first of the usual sockets that answers.
          XDG_RUNTIME_DIR
              Where the sockets of this user's container engines are. Default: none.
          DBUS_SESSION_BUS_ADDRESS
              Where the system's keyring is reached, if it has the passphrase of the secrets. Default: bus
              in XDG_RUNTIME_DIR.
          HOME
              The home folder, from which the XDG defaults follow. Default: none.
          CLAUDE_CONFIG_DIR
              Where `install claude-code` finds Claude Code's file. Default: the home folder.
          PATH
              Where `doctor` and the package clients look for npm, uv, node and python3. Default: empty.
          DISPLAY, WAYLAND_DISPLAY
              `login` opens the browser of the desktop when one of them is set, on a terminal. Default:
              none.
          npm_config_registry, UV_DEFAULT_INDEX, PIP_INDEX_URL
              Where packages of servers come from; https_proxy, SSL_CERT_FILE, PIP_FIND_LINKS and their like
              count too. Default: the public registries.
    "#]]
    .assert_eq(reference);
}

#[test]
fn help_of_up() {
    check(
        &["up", "-h"],
        &expect![[r#"
            exit 0
            --- stdout
            Run the gateway until it is told to stop

            Usage: casemate up [OPTIONS]

            Options:
                  --listen <ADDR>   Address to listen on [env: CASEMATE_LISTEN] [default: the configuration's,
                                    else 127.0.0.1:7332]
                  --locked <FILE>   Use nothing of servers but what this lock file has, as `casemate pin export`
                                    writes it
                  --lock-key <KEY>  Only if FILE.sig is its signature with the private half of this key: a
                                    public Ed25519 key in PEM
              -h, --help            Print help
              -V, --version         Print version

            Global options:
                  --home <DIR>     Root folder of the installation [env: CASEMATE_HOME] [default: the XDG
                                   folders]
                  --config <FILE>  Configuration file [env: CASEMATE_CONFIG] [default: casemate.toml of the
                                   installation]
                  --json           Print data as JSON on stdout, and errors and warnings as JSON on stderr
              -v, --verbose...     Log more; twice for details, three times for everything
                  --color <WHEN>   When to use colors; NO_COLOR turns them off too [default: auto]
        "#]],
    );
}

#[test]
fn help_of_add() {
    check(
        &["add", "-h"],
        &expect![[r#"
            exit 0
            --- stdout
            Add a server to the configuration

            Usage: casemate add [OPTIONS] <NAME> -- <COMMAND> [ARGS]...
                   casemate add [OPTIONS] <NAME> --image <IMAGE> [-- <ARGS>...]
                   casemate add [OPTIONS] <NAME> --url <URL>

            Arguments:
              <NAME>        Name of the server: letters, digits, `-` and `_`
              [COMMAND]...  Program to run, and its arguments; with --image, arguments alone

            Options:
                  --url <URL>           Address of a server that runs already: https://…, wss://…, unix:/PATH or
                                        tcp://HOST:PORT
                  --header <KEY=VALUE>  Header for a remote server: KEY=VALUE, KEY=secret:NAME, KEY=env:NAME or
                                        KEY=file:PATH
                  --image <IMAGE>       Container image with its digest, which a container engine runs:
                                        NAME@sha256:…
                  --cwd <DIR>           Working directory of the server's process
              -h, --help                Print help
              -V, --version             Print version

            What it may see and use:
                  --network <HOST:PORT>  Let it reach a name, and nothing else; `*.example.org:443` is every
                                         name below that one
                  --read <PATH>          Let it read a file or folder
                  --write <PATH>         Let it read and change a file or folder
                  --runtime <PATH>       Show it where programs and libraries lie; links stay links
                  --env <NAME[=VALUE]>   Give it a variable: NAME is ours, NAME=VALUE another; VALUE may be
                                         secret:NAME, env:NAME or file:PATH
                  --memory <SIZE>        Most memory, for example 512MiB [default: 1GiB]
                  --cpu <NUMBER>         Most processors that it may keep busy, for example 0.5 [default: 2]
                  --processes <NUMBER>   Most processes and threads [default: 256]
                  --install-scripts      Let its package run its install scripts, in a cell without network,
                                         when it is installed
                  --host-stats           Let it see figures of the whole host: memory, processors, disks,
                                         network
                  --light                A light cell, for hosts that forbid user namespaces: no network, and
                                         the host's files have names
                  --allow-unsandboxed    No cell: it may do everything that you may

            Global options:
                  --home <DIR>     Root folder of the installation [env: CASEMATE_HOME] [default: the XDG
                                   folders]
                  --config <FILE>  Configuration file [env: CASEMATE_CONFIG] [default: casemate.toml of the
                                   installation]
                  --json           Print data as JSON on stdout, and errors and warnings as JSON on stderr
              -v, --verbose...     Log more; twice for details, three times for everything
                  --color <WHEN>   When to use colors; NO_COLOR turns them off too [default: auto]

            Examples:
              casemate add everything -- npx -y @modelcontextprotocol/server-everything@2026.8.31
              casemate add files --write ~/notes -- npx -y @example/files@1.2.3 ~/notes
              casemate add github --env GITHUB_TOKEN --network api.github.com:443 -- uvx github==1.2.3
              casemate add wiki --url https://wiki.example.com/mcp --header Authorization=file:/run/secrets/wiki
        "#]],
    );
}

#[test]
fn help_of_call() {
    check(
        &["call", "-h"],
        &expect![[r#"
            exit 0
            --- stdout
            Call a tool and print its answer

            Usage: casemate call [OPTIONS] <SERVER> <TOOL> [JSON]

            Arguments:
              <SERVER>  Name of the server
              <TOOL>    Name of the tool, as the server itself calls it
              [JSON]    Arguments as a JSON object; `-` reads them from stdin [default: {}]

            Options:
              -h, --help     Print help
              -V, --version  Print version

            Global options:
                  --home <DIR>     Root folder of the installation [env: CASEMATE_HOME] [default: the XDG
                                   folders]
                  --config <FILE>  Configuration file [env: CASEMATE_CONFIG] [default: casemate.toml of the
                                   installation]
                  --json           Print data as JSON on stdout, and errors and warnings as JSON on stderr
              -v, --verbose...     Log more; twice for details, three times for everything
                  --color <WHEN>   When to use colors; NO_COLOR turns them off too [default: auto]

            Example:
              casemate call system get_memory_stats '{}'
        "#]],
    );
}

#[test]
fn help_of_key_create() {
    check(
        &["key", "create", "-h"],
        &expect![[r#"
            exit 0
            --- stdout
            Create a key and print it, once, alone on stdout

            Usage: casemate key create [OPTIONS]

            Options:
                  --name <NAME>      What the key is for, to recognize it in lists and records [default:
                                     unnamed]
                  --role <ROLE>      What the key may do [default: user]
                  --scope <PATTERN>  What the key may be used for, of what its role allows: a pattern such as
                                     git/get_* or wiki; may be repeated
                  --expires <WHEN>   When the key stops working: after a span such as 12h or 90d, or on a date
                                     such as 2027-01-31
              -h, --help             Print help
              -V, --version          Print version

            Global options:
                  --home <DIR>     Root folder of the installation [env: CASEMATE_HOME] [default: the XDG
                                   folders]
                  --config <FILE>  Configuration file [env: CASEMATE_CONFIG] [default: casemate.toml of the
                                   installation]
                  --json           Print data as JSON on stdout, and errors and warnings as JSON on stderr
              -v, --verbose...     Log more; twice for details, three times for everything
                  --color <WHEN>   When to use colors; NO_COLOR turns them off too [default: auto]
        "#]],
    );
}

#[test]
fn mistakes_on_the_command_line_say_what_was_expected() {
    check(
        &["add"],
        &expect![[r#"
            exit 2
            --- stderr
            error: it is not said what the server is
            hint: a command after `--`, as in `casemate add NAME -- npx -y package@1.2.3`, `--image` or `--url`

            Usage: casemate add [OPTIONS] <NAME> -- <COMMAND> [ARGS]...
                   casemate add [OPTIONS] <NAME> --image <IMAGE> [-- <ARGS>...]
                   casemate add [OPTIONS] <NAME> --url <URL>
        "#]],
    );
    check(
        &["add", "x", "--url", "https://x.example/mcp", "--", "npx"],
        &expect![[r#"
            exit 2
            --- stderr
            error: the argument '--url <URL>' cannot be used with '[COMMAND]...'

            Usage: casemate add [OPTIONS] <NAME> -- <COMMAND> [ARGS]...
                   casemate add [OPTIONS] <NAME> --image <IMAGE> [-- <ARGS>...]
                   casemate add [OPTIONS] <NAME> --url <URL>

            For more information, try '--help'.
        "#]],
    );
    check(
        &["add", "x", "--env", "A", "--", "npx"],
        &expect![[r#"
            exit 0
            --- stdout
            x: added ([HOME]/cm/casemate.toml)
            --- stderr
            warning: when a gateway runs: servers.x.env.A: the server x is not started without the secret env:A: this environment variable is not set
            hint: set A where casemate is started, or keep the value in Casemate: `casemate secret set A`, and "secret:A" refers to it
            warning: it will not be started: the command line names no package
            hint: name a package: npx x@1.2.3
        "#]],
    );
}

#[test]
fn mistakes_in_values_say_what_was_expected() {
    check(
        &["call", "a__b", "c"],
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'a__b' for '<SERVER>': a server name cannot have '_' at position 2: use letters, digits, `-` and single `_`

        For more information, try '--help'.
    "#]],
    );
    check(
        &["call", "a", "c", "[1]"],
        &expect![[r#"
            exit 2
            --- stderr
            error: the arguments are not a JSON object
            hint: write them in single quotes: '{"message": "hi"}'
        "#]],
    );
    check(
        &["key", "create", "--expires", "soon"],
        &expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'soon' for '--expires <WHEN>': expected a span such as 30m, 12h, 90d or 4w, or a date such as 2027-01-31

        For more information, try '--help'.
    "#]],
    );
    check(
        &["lst"],
        &expect![[r#"
        exit 2
        --- stderr
        error: unrecognized subcommand 'lst'

          tip: some similar subcommands exist: 'stop', 'list'

        Usage: casemate [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn what_needs_a_gateway_says_so_when_none_runs() {
    check(
        &["start", "system"],
        &expect![[r#"
        exit 4
        --- stderr
        error: no gateway runs
        hint: start one with `casemate up`
    "#]],
    );
    check(
        &["logs", "system", "--json"],
        &expect![[r#"
        exit 4
        --- stderr
        {"error":{"exit":4,"message":"no gateway runs","hints":["start one with `casemate up`"]}}
    "#]],
    );
    check(
        &["down"],
        &expect![[r#"
        exit 0
        --- stdout
        No gateway was running.
    "#]],
    );
}

#[test]
fn codes_are_explained_and_unknown_ones_lead_to_the_list() {
    check(
        &["explain", "CM0000"],
        &expect![[r#"
        exit 2
        --- stderr
        error: there is no error code `CM0000`
        hint: `casemate explain` lists them all
    "#]],
    );
    let list = Home::new().run(&["explain"]).ok();
    for line in list.lines() {
        let (code, title) = line.split_once("  ").unwrap();
        assert!(code.starts_with("CM") && !title.trim().is_empty(), "{line}");
        let page = Home::new().run(&["explain", code]).ok();
        assert!(page.contains(code), "{page}");
    }
}

#[test]
fn completions_and_manual_know_every_command() {
    let home = Home::new();
    let help = home.run(&["-h"]).ok();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    let bash = home.run(&["completions", "bash"]).ok();
    let man = home.run(&["man"]).ok();
    home.run(&["man", "--directory", home.path().join("man").to_str().unwrap()]).ok();
    for command in commands {
        assert!(bash.contains(command), "{command}");
        assert!(man.contains(&format!("casemate\\-{command}")), "{command}");
        assert!(home.read(&format!("man/casemate-{command}.1")).contains(".TH"), "{command}");
    }
}
