package ctsd;

import static org.forgerock.opendj.ldap.LDAPConnectionFactory.*;

import com.forgerock.opendj.ldap.controls.TransactionIdControl;
import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.forgerock.opendj.ldap.ByteString;
import org.forgerock.opendj.ldap.Connection;
import org.forgerock.opendj.ldap.ConnectionFactory;
import org.forgerock.opendj.ldap.Connections;
import org.forgerock.opendj.ldap.DecodeOptions;
import org.forgerock.opendj.ldap.Filter;
import org.forgerock.opendj.ldap.LDAPConnectionFactory;
import org.forgerock.opendj.ldap.LdapException;
import org.forgerock.opendj.ldap.LdapPromise;
import org.forgerock.opendj.ldap.ModificationType;
import org.forgerock.opendj.ldap.ResultCode;
import org.forgerock.opendj.ldap.RootDSE;
import org.forgerock.opendj.ldap.SearchResultHandler;
import org.forgerock.opendj.ldap.SearchScope;
import org.forgerock.opendj.ldap.controls.AssertionRequestControl;
import org.forgerock.opendj.ldap.controls.EntryChangeNotificationResponseControl;
import org.forgerock.opendj.ldap.controls.PersistentSearchChangeType;
import org.forgerock.opendj.ldap.controls.PersistentSearchRequestControl;
import org.forgerock.opendj.ldap.controls.PostReadRequestControl;
import org.forgerock.opendj.ldap.controls.PostReadResponseControl;
import org.forgerock.opendj.ldap.controls.PreReadRequestControl;
import org.forgerock.opendj.ldap.controls.PreReadResponseControl;
import org.forgerock.opendj.ldap.controls.SimplePagedResultsControl;
import org.forgerock.opendj.ldap.requests.AddRequest;
import org.forgerock.opendj.ldap.requests.DeleteRequest;
import org.forgerock.opendj.ldap.requests.ModifyRequest;
import org.forgerock.opendj.ldap.requests.Requests;
import org.forgerock.opendj.ldap.requests.SearchRequest;
import org.forgerock.opendj.ldap.requests.SimpleBindRequest;
import org.forgerock.opendj.ldap.responses.Result;
import org.forgerock.opendj.ldap.responses.SearchResultEntry;
import org.forgerock.opendj.ldap.responses.SearchResultReference;
import org.forgerock.util.Options;
import org.forgerock.util.time.Duration;

/**
 * Drives the server with the LDAP client that OpenAM's CTS uses: pool, heartbeat, the controls, persistent search, LDAPS.
 *
 * <p>Arguments: host, LDAP port, LDAPS port, bind DN, password file, suffix, PEM certificate.
 */
public final class Interop {
    private interface Case {
        void run() throws Exception;
    }

    private static int passed;
    private static int failed;

    private static String host;
    private static int port;
    private static int tlsPort;
    private static String bindDn;
    private static char[] password;
    private static String base;
    private static Path certificate;

    private static void test(String name, Case body) {
        try {
            body.run();
            passed++;
            System.out.println("ok      " + name);
        } catch (Throwable fault) {
            failed++;
            System.out.println("FAILED  " + name + ": " + fault);
            fault.printStackTrace(System.out);
        }
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static Options options() {
        SimpleBindRequest bind = Requests.newSimpleBindRequest(bindDn, password);
        bind.addControl(TransactionIdControl.newControl("interop-bind"));
        return Options.defaultOptions()
                .set(AUTHN_BIND_REQUEST, bind)
                .set(HEARTBEAT_ENABLED, true)
                .set(HEARTBEAT_INTERVAL, Duration.duration("200 ms"))
                .set(HEARTBEAT_TIMEOUT, Duration.duration("3 seconds"));
    }

    private static String dn(String id) {
        return "coreTokenId=" + id + "," + base;
    }

    private static AddRequest token(String id, String expires) {
        return Requests.newAddRequest(dn(id))
                .addAttribute("objectClass", "frCoreToken")
                .addAttribute("coreTokenId", id)
                .addAttribute("coreTokenType", "SESSION")
                .addAttribute("coreTokenExpirationDate", expires)
                .addAttribute("coreTokenString02", "session-" + id)
                .addAttribute("coreTokenObject", ByteString.wrap(new byte[] {0, 1, (byte) 0xff, 10, 13, 0}))
                .addControl(TransactionIdControl.newControl("interop"))
                .addControl(PostReadRequestControl.newControl(true, "etag"));
    }

    private static String etag(Result result) throws Exception {
        PostReadResponseControl control = result.getControl(PostReadResponseControl.DECODER, new DecodeOptions());
        check(control != null, "no post-read control");
        return control.getEntry().getAttribute("etag").firstValueAsString();
    }

    private static SearchResultEntry read(Connection connection, String id) throws Exception {
        SearchRequest request = Requests.newSearchRequest(
                        dn(id), SearchScope.BASE_OBJECT, "(objectClass=*)", "*", "etag")
                .setSizeLimit(1)
                .addControl(TransactionIdControl.newControl("interop"));
        return connection.searchSingleEntry(request);
    }

    private static ResultCode codeOf(Case body) throws Exception {
        try {
            body.run();
        } catch (LdapException refused) {
            return refused.getResult().getResultCode();
        }
        return ResultCode.SUCCESS;
    }

    private static void lifeOfAToken(Connection connection) throws Exception {
        String id = "interop+life==";
        String first = etag(connection.add(token(id.replace("+", "\\+").replace("=", "\\="), "20991231235959.123+0300")
                .removeAttribute("coreTokenId")
                .addAttribute("coreTokenId", id)));
        String escaped = id.replace("+", "\\+").replace("=", "\\=");
        SearchResultEntry entry = read(connection, escaped);
        check(entry.getAttribute("etag").firstValueAsString().equals(first), "the read shows another etag");
        check(
                entry.getAttribute("coreTokenExpirationDate").firstValueAsString().equals("20991231235959.123+0300"),
                "the date is not returned as written");
        check(entry.getAttribute("coreTokenObject").firstValue().length() == 6, "the object has lost bytes");
        check(entry.getAttribute("entryUUID") == null, "an operational attribute came unasked");

        ModifyRequest change = Requests.newModifyRequest(dn(escaped))
                .addModification(ModificationType.REPLACE, "coreTokenString01", "now")
                .addModification(ModificationType.REPLACE, "coreTokenString02")
                .addControl(AssertionRequestControl.newControl(true, Filter.equality("etag", first)))
                .addControl(PostReadRequestControl.newControl(true, "etag"));
        String second = etag(connection.modify(change));
        check(!second.equals(first), "the etag stayed");
        check(codeOf(() -> connection.modify(change)) == ResultCode.ASSERTION_FAILED, "a stale etag was accepted");
        check(read(connection, escaped).getAttribute("etag").firstValueAsString().equals(second), "refused, yet changed");

        DeleteRequest delete = Requests.newDeleteRequest(dn(escaped))
                .addControl(AssertionRequestControl.newControl(true, Filter.equality("etag", second)))
                .addControl(PreReadRequestControl.newControl(true, "coreTokenId", "coreTokenType", "coreTokenMultiString01",
                        "createTimestamp", "etag"));
        Result deleted = connection.delete(delete);
        PreReadResponseControl image = deleted.getControl(PreReadResponseControl.DECODER, new DecodeOptions());
        check(image.getEntry().getAttribute("coreTokenId").firstValueAsString().equals(id), "pre-read lacks the id");
        check(image.getEntry().getAttribute("objectClass") == null, "pre-read has an attribute nobody asked for");
        check(codeOf(() -> connection.delete(delete)) == ResultCode.NO_SUCH_OBJECT, "a second delete is not 32");
        check(codeOf(() -> read(connection, escaped)) == ResultCode.NO_SUCH_OBJECT, "a read of nothing is not 32");
    }

    private static void reaper(ConnectionFactory pool) throws Exception {
        try (Connection writer = pool.getConnection()) {
            for (int number = 0; number < 250; number++) {
                writer.add(token("reap" + number, "20010203040506.789-0500"));
            }
        }
        int pages = 0;
        int reaped = 0;
        boolean more = true;
        while (more) {
            check(++pages <= 4, "the reaper does not come to an end");
            SearchRequest request = Requests.newSearchRequest(
                            base,
                            SearchScope.WHOLE_SUBTREE,
                            "(&(&(coreTokenExpirationDate<=20261122000000.000+0300)"
                                    + "(!(coreTokenExpirationDate=20261122000000.000+0300)))(objectClass=frCoreToken))",
                            "coreTokenId",
                            "etag")
                    .addControl(TransactionIdControl.newControl("interop"))
                    .addControl(SimplePagedResultsControl.newControl(true, 100, ByteString.empty()));
            List<SearchResultEntry> page = new ArrayList<>();
            try (Connection searcher = pool.getConnection()) {
                Result done = searcher.search(request, page);
                ByteString cookie = done.getControl(SimplePagedResultsControl.DECODER, new DecodeOptions()).getCookie();
                more = cookie.length() > 0;
            }
            try (Connection deleter = pool.getConnection()) {
                for (SearchResultEntry entry : page) {
                    check(entry.getAttribute("etag") != null, "an entry without etag");
                    deleter.delete(Requests.newDeleteRequest(entry.getName()));
                    reaped++;
                }
            }
        }
        check(reaped == 250 && pages == 3, reaped + " tokens in " + pages + " pages");
    }

    private static void persistentSearch(ConnectionFactory factory, ConnectionFactory pool) throws Exception {
        LinkedBlockingQueue<SearchResultEntry> seen = new LinkedBlockingQueue<>();
        try (Connection listening = factory.getConnection()) {
            RootDSE root = RootDSE.readRootDSE(listening);
            check(root.getSupportedControls().contains(PersistentSearchRequestControl.OID), "psearch is not announced");
            SearchRequest request = Requests.newSearchRequest(
                            base,
                            SearchScope.WHOLE_SUBTREE,
                            "(&(coreTokenType=SESSION)(objectClass=frCoreToken))",
                            "coreTokenString02",
                            "dn")
                    .addControl(TransactionIdControl.newControl("interop"))
                    .addControl(PersistentSearchRequestControl.newControl(
                            true,
                            true,
                            true,
                            PersistentSearchChangeType.ADD,
                            PersistentSearchChangeType.DELETE,
                            PersistentSearchChangeType.MODIFY,
                            PersistentSearchChangeType.MODIFY_DN));
            LdapPromise<Result> promise = listening.searchAsync(request, new SearchResultHandler() {
                @Override
                public boolean handleEntry(SearchResultEntry entry) {
                    seen.add(entry);
                    return true;
                }

                @Override
                public boolean handleReference(SearchResultReference reference) {
                    return true;
                }
            });
            // Several heartbeats pass on the same connection while the search stands.
            Thread.sleep(1000);
            check(listening.isValid(), "heartbeats did not get through");
            try (Connection writer = pool.getConnection()) {
                writer.add(token("watched", "20991231235959Z"));
                writer.modify(Requests.newModifyRequest(dn("watched"))
                        .addModification(ModificationType.REPLACE, "coreTokenString01", "touched"));
                writer.delete(dn("watched"));
            }
            PersistentSearchChangeType[] expected = {
                PersistentSearchChangeType.ADD, PersistentSearchChangeType.MODIFY, PersistentSearchChangeType.DELETE
            };
            for (PersistentSearchChangeType type : expected) {
                SearchResultEntry entry = seen.poll(10, TimeUnit.SECONDS);
                check(entry != null, "no notification of the " + type);
                EntryChangeNotificationResponseControl note =
                        entry.getControl(EntryChangeNotificationResponseControl.DECODER, new DecodeOptions());
                check(note.getChangeType() == type, "expected " + type + ", was " + note.getChangeType());
                check(note.getPreviousName() == null, "a previous DN where nothing was renamed");
                check(
                        entry.getAttribute("coreTokenString02").firstValueAsString().equals("session-watched"),
                        "the notification lacks the session id");
            }
            Thread.sleep(500);
            check(listening.isValid() && !promise.isDone(), "the persistent search ended");
            check(seen.isEmpty(), "more notifications than changes");
        }
    }

    private static void pipelining(ConnectionFactory factory) throws Exception {
        int many = 400;
        CountDownLatch answers = new CountDownLatch(many);
        AtomicReference<LdapException> fault = new AtomicReference<>();
        try (Connection connection = factory.getConnection()) {
            for (int number = 0; number < many; number++) {
                connection.addAsync(token("pipe" + number, "20991231235959Z"))
                        .thenOnException(fault::set)
                        .thenAlways(answers::countDown);
            }
            check(answers.await(60, TimeUnit.SECONDS), answers.getCount() + " requests were not answered");
            check(fault.get() == null, "one failed: " + fault.get());
            for (int number = 0; number < many; number++) {
                connection.delete(dn("pipe" + number));
            }
        }
    }

    private static void overTls() throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (FileInputStream pem = new FileInputStream(certificate.toFile())) {
            trusted.setCertificateEntry("cts", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        try (LDAPConnectionFactory factory =
                        new LDAPConnectionFactory(host, tlsPort, options().set(SSL_CONTEXT, context));
                Connection connection = factory.getConnection()) {
            lifeOfAToken(connection);
        }
        Options startTls = options().set(SSL_CONTEXT, context).set(SSL_USE_STARTTLS, true);
        try (LDAPConnectionFactory factory = new LDAPConnectionFactory(host, port, startTls);
                Connection connection = factory.getConnection()) {
            lifeOfAToken(connection);
        }
    }

    public static void main(String[] arguments) throws Exception {
        host = arguments[0];
        port = Integer.parseInt(arguments[1]);
        tlsPort = Integer.parseInt(arguments[2]);
        bindDn = arguments[3];
        password = Files.readString(Path.of(arguments[4])).trim().toCharArray();
        base = arguments[5];
        certificate = Path.of(arguments[6]);

        LDAPConnectionFactory factory = new LDAPConnectionFactory(host, port, options());
        ConnectionFactory pool = Connections.newCachedConnectionPool(factory, 1, 17, 60, TimeUnit.SECONDS);
        test("a token lives through create, read, update, stale update and delete", () -> {
            try (Connection connection = pool.getConnection()) {
                lifeOfAToken(connection);
            }
        });
        test("the reaper pages with an empty cookie each time and comes to an end", () -> reaper(pool));
        test("a persistent search and heartbeats share a connection", () -> persistentSearch(factory, pool));
        test("400 requests in flight on one connection are all answered", () -> pipelining(factory));
        test("a filter on an undefined attribute matches nothing and is no error", () -> {
            try (Connection connection = pool.getConnection()) {
                List<SearchResultEntry> found = new ArrayList<>();
                connection.search(
                        Requests.newSearchRequest(
                                base, SearchScope.WHOLE_SUBTREE, "(&(noSuchType=x)(objectClass=frCoreToken))", "*"),
                        found);
                check(found.isEmpty(), "it matched");
            }
        });
        test("the true filter counts everything", () -> {
            try (Connection connection = pool.getConnection()) {
                connection.add(token("counted", "20991231235959Z"));
                List<SearchResultEntry> found = new ArrayList<>();
                connection.search(
                        Requests.newSearchRequest(
                                base, SearchScope.WHOLE_SUBTREE, "(&(&)(objectClass=frCoreToken))", "coreTokenId", "etag"),
                        found);
                check(found.size() == 1, found.size() + " found");
                connection.delete(dn("counted"));
            }
        });
        test("a wrong password is 49", () -> {
            Options wrong = options().set(AUTHN_BIND_REQUEST, Requests.newSimpleBindRequest(bindDn, "wrong".toCharArray()));
            try (LDAPConnectionFactory refused = new LDAPConnectionFactory(host, port, wrong)) {
                check(
                        codeOf(() -> refused.getConnection().close()) == ResultCode.INVALID_CREDENTIALS,
                        "it was let in, or refused for another reason");
            }
        });
        test("LDAPS and StartTLS with the certificate in the trust store", Interop::overTls);
        pool.close();
        System.out.println();
        System.out.println("interop: " + passed + " passed, " + failed + " failed");
        System.exit(failed == 0 && passed > 0 ? 0 : 1);
    }
}
