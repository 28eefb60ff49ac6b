//! Enhanced authentication by SCRAM-SHA-256, as a client that computes its own half.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ferromq_tests::mqtt::packet::{self, frame};
use ferromq_tests::mqtt::properties::{AUTH_DATA, AUTH_METHOD};
use ferromq_tests::mqtt::{Connect, Connection, Packet, Properties, Version};
use ferromq_tests::{Kind, Launch, Server};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const METHOD: &str = "SCRAM-SHA-256";
/// Of RFC 7677's example.
const PASSWORD: &str = "pencil";
const USERS: &str = "user user SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                     WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n\
                     user other secret\n";
const CONTINUE: u8 = 0x18;
const AGAIN: u8 = 0x19;

fn server(dir: &TempDir) -> (Launch, Server) {
    let users = dir.path().join("users");
    std::fs::write(&users, USERS).expect("a file");
    let launch = Launch::new(Kind::Ferro, dir.path()).small_files();
    let launch = launch.set("mqttCredentialsFile", &users.display().to_string());
    let server = launch.start();
    (launch, server)
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// What a client says last, and what it is to hear then.
fn last(first: &str, challenge: &str, password: &str) -> (String, String) {
    let field =
        |name: &str| challenge.split(',').find_map(|field| field.strip_prefix(name)).expect("a field");
    let salt = BASE64.decode(field("s=")).expect("base64");
    let mut block = mac(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let mut salted = block;
    for _ in 1..field("i=").parse().expect("a number") {
        block = mac(password.as_bytes(), &block);
        salted.iter_mut().zip(block).for_each(|(to, from)| *to ^= from);
    }
    let client_key = mac(&salted, b"Client Key");
    let without_proof = format!("c=biws,r={}", field("r="));
    let all = format!("{first},{challenge},{without_proof}");
    let signature = mac(&Sha256::digest(client_key), all.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(one, other)| one ^ other).collect();
    let server = mac(&mac(&salted, b"Server Key"), all.as_bytes());
    (format!("{without_proof},p={}", BASE64.encode(proof)), format!("v={}", BASE64.encode(server)))
}

fn auth(reason: u8, method: &str, data: &str) -> Vec<u8> {
    let section = Properties::none().with(AUTH_METHOD, method).with(AUTH_DATA, data).section();
    frame(packet::AUTH, [vec![reason], section].concat())
}

/// The server's next words, which are an AUTH.
fn hear(client: &mut Connection, wanted: u8) -> String {
    match client.next_packet() {
        Some(Packet::Auth { reason, properties }) if reason == wanted => {
            assert_eq!(properties.text(AUTH_METHOD), Some(METHOD), "the same in each");
            String::from_utf8(properties.bytes(AUTH_DATA).unwrap_or_default().to_vec()).expect("text")
        }
        other => panic!("expected AUTH {wanted:#04x}, but came {other:?}"),
    }
}

const FIRST: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO";

fn connect(id: &str) -> Connect {
    Connect::clean(Version::V5, id).with(AUTH_METHOD, METHOD)
}

/// A client that has come in.
fn enter(launch: &Launch) -> Connection {
    let mut client = Connection::open(launch.mqtt(), Version::V5);
    client.send(connect("c").with(AUTH_DATA, format!("n,,{FIRST}").as_str()).bytes());
    let challenge = hear(&mut client, CONTINUE);
    let (answer, proof) = last(FIRST, &challenge, PASSWORD);
    client.send(auth(CONTINUE, METHOD, &answer));
    let ack = client.expect_connack(0);
    assert_eq!(ack.properties.text(AUTH_METHOD), Some(METHOD));
    assert_eq!(ack.properties.bytes(AUTH_DATA).map(<[u8]>::to_vec), Some(proof.into_bytes()));
    client
}

#[test]
fn a_client_shows_that_it_knows_the_password_and_shows_it_again() {
    let dir = TempDir::new().expect("a directory");
    let (launch, _server) = server(&dir);
    let mut client = enter(&launch);
    client.ping();
    for _ in 0..2 {
        client.send(auth(AGAIN, METHOD, &format!("n,,{FIRST}")));
        let challenge = hear(&mut client, CONTINUE);
        // What it may do meanwhile stays.
        client.ping();
        let (answer, proof) = last(FIRST, &challenge, PASSWORD);
        client.send(auth(CONTINUE, METHOD, &answer));
        assert_eq!(hear(&mut client, 0), proof);
        client.ping();
    }
    client.send(auth(AGAIN, METHOD, &format!("n,,{FIRST}")));
    let challenge = hear(&mut client, CONTINUE);
    client.send(auth(CONTINUE, METHOD, &last(FIRST, &challenge, "wrong").0));
    assert_eq!(client.expect_disconnect(), 0x87);
}

#[test]
fn a_client_that_does_not_know_it_is_refused_and_its_password_does_as_well() {
    let dir = TempDir::new().expect("a directory");
    let (launch, _server) = server(&dir);
    for (first, password) in [(FIRST, "wrong"), ("n=nobody,r=abc", PASSWORD), ("n=other,r=abc", "secret")] {
        let mut client = Connection::open(launch.mqtt(), Version::V5);
        // It waits to be asked.
        client.send(connect("c").bytes());
        assert_eq!(hear(&mut client, CONTINUE), "");
        client.send(auth(CONTINUE, METHOD, &format!("n,,{first}")));
        let challenge = hear(&mut client, CONTINUE);
        client.send(auth(CONTINUE, METHOD, &last(first, &challenge, password).0));
        client.expect_refused(&[0x87]);
    }
    for (password, code) in [(PASSWORD, 0), ("wrong", 0x86), (PASSWORD, 0)] {
        let mut client = Connection::open(launch.mqtt(), Version::V5);
        client.send(Connect::clean(Version::V5, "c").login("user", password).bytes());
        client.expect_connack(code);
    }
}

#[test]
fn another_packet_or_method_in_between_is_against_the_protocol() {
    let dir = TempDir::new().expect("a directory");
    let (launch, _server) = server(&dir);
    for wrong in [frame(packet::PINGREQ, []), auth(CONTINUE, "other", "x"), auth(AGAIN, METHOD, "x")] {
        let mut client = Connection::open(launch.mqtt(), Version::V5);
        client.send(connect("c").bytes());
        hear(&mut client, CONTINUE);
        client.send(wrong);
        client.expect_refused(&[0x82]);
    }
    for wrong in [auth(AGAIN, "other", "x"), auth(CONTINUE, METHOD, "x")] {
        let mut client = enter(&launch);
        client.send(wrong);
        assert_eq!(client.expect_disconnect(), 0x82);
    }
    let mut client = Connection::open(launch.mqtt(), Version::V5);
    client.send(Connect::clean(Version::V5, "c").with(AUTH_METHOD, "other").bytes());
    client.expect_refused(&[0x8C]);
}
