//! Who may reach MQTT, and how: TLS, certificates of clients, rules, ways to show who one is, and how many at a time.

mod acl;
mod certificates;
mod rate;
mod scram;
mod tls;
