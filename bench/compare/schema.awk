# Reads the attribute types and classes of LDIF schema files and writes them for a server that does not
# choose matching rules by the syntax: -v form=slapd (configuration file) or -v form=ldif (cn=schema values).
function flush(    text) {
    if (line !~ /^(attributeTypes|objectClasses): /) { line = ""; return }
    text = line
    class = sub(/^objectClasses: /, "", text)
    sub(/^attributeTypes: /, "", text)
    if (class && text !~ /NAME/) { line = ""; return }
    if (!class) {
        if (text ~ /\.121\.1\.15/) sub(/SYNTAX/, "EQUALITY caseIgnoreMatch SYNTAX", text)
        if (text ~ /\.121\.1\.27/) sub(/SYNTAX/, "EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX", text)
        if (text ~ /\.121\.1\.24/) sub(/SYNTAX/, "EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch SYNTAX", text)
        # The Binary syntax is not offered everywhere; octet strings hold the same octets.
        sub(/\.121\.1\.5 /, ".121.1.40 ", text)
    }
    match(text, /[0-9][0-9.]*/)
    oid = substr(text, RSTART, RLENGTH)
    sub(/ X-ORIGIN '[^']*'/, "", text)
    # A class defined twice counts as it was defined last.
    kind[oid] = class
    if (!(oid in value)) order[++count] = oid
    value[oid] = text
    line = ""
}
/^ / { line = line substr($0, 2); next }
{ flush(); line = $0 }
END {
    flush()
    for (pass = 0; pass < 2; pass++)
        for (i = 1; i <= count; i++) {
            oid = order[i]
            if (kind[oid] != pass) continue
            if (form == "slapd") print (pass ? "objectclass " : "attributetype ") value[oid]
            else print (pass ? "objectClasses: " : "attributeTypes: ") value[oid]
        }
}
