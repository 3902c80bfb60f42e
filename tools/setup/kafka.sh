#!/usr/bin/env bash
# Fetches Kafka's jars with Maven, once; says in one line what is missing where that cannot be done.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/setup/lib.sh

# Asked every time, because a Java that has gone away since is as bad as none.
have java || fail "Java is missing, and Kafka needs it: install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless), or play without it: make demo-in-process"
done_already kafka services/harden/local/kafka_node/pom.xml && compgen -G ".cache/kafka/*/kafka_*.jar" >/dev/null && exit 0
have mvn || fail "Maven is missing, which fetches Kafka's jars: install it (Debian: apt-get install maven), or play without it: make demo-in-process"
quietly "fetching Kafka's jars with Maven" .venv/bin/python -c 'from harden.local import kafka; kafka.find_java(); kafka.fetch()'
mark_done kafka services/harden/local/kafka_node/pom.xml
