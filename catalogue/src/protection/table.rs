//! The built-in rules.

use super::Rule;

/// Identifier, owner, types, data, reason, source; see [`Rule::parse`].
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

/// The rules of the table. A test says that every row can be read.
pub(super) fn rules() -> impl Iterator<Item = Rule> {
    let parse = |row: &Row| Rule::parse(row.0, row.1, row.2, row.3, row.4, row.5).ok();
    let verification = |(prefix, service): &(&str, &str)| {
        let reason = format!("proves to {service} who controls the domain, and is checked when they choose");
        Rule::parse("verification", "", "TXT", &format!("text:{prefix}"), &reason, service).ok()
    };
    let validation = |(target, authority): &(&str, &str)| {
        let reason = format!("lets {authority} validate the domain for certificates, which is checked at renewal");
        Rule::parse("certificate-validation", "", "CNAME", &format!("target:{target}"), &reason, authority).ok()
    };
    TABLE
        .iter()
        .filter_map(parse)
        .chain(VERIFICATIONS.iter().filter_map(verification))
        .chain(VALIDATIONS.iter().filter_map(validation))
}

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    // Mail.
    ("null-mx", "", "MX", "nothing", "declares that the domain accepts no mail; without it, senders try the address", "RFC 7505"),
    ("spf", "", "TXT", "text:v=spf1", "SPF policy; a domain that sends no mail is protected by its presence", "RFC 7208"),
    ("spf", "", "SPF", "", "SPF policy in its obsolete type", "RFC 7208 section 3.1"),
    ("spf", "", "TXT", "text:spf2.0/", "Sender ID policy", "RFC 4406"),
    ("dmarc", "_dmarc", "", "", "DMARC policy; a domain that sends no mail is protected by its presence", "RFC 7489"),
    ("dmarc-report", "*._report._dmarc", "", "", "permits DMARC reports about another domain", "RFC 7489 section 7.1"),
    ("dmarc-report", "**._report._dmarc", "", "", "permits DMARC reports about another domain", "RFC 7489 section 7.1"),
    ("dkim", "**._domainkey", "", "", "DKIM key; mail that was signed with it may be verified much later", "RFC 6376"),
    ("dkim", "_adsp._domainkey", "", "", "DKIM signing practices", "RFC 5617"),
    ("mta-sts", "_mta-sts", "", "", "MTA-STS policy indicator; senders cache policies for up to a year", "RFC 8461"),
    ("mta-sts", "mta-sts", "A AAAA CNAME HTTPS", "", "host of the MTA-STS policy; senders cache policies for up to a year", "RFC 8461"),
    ("tlsrpt", "_smtp._tls", "", "", "SMTP TLS reporting policy", "RFC 8460"),
    ("bimi", "**._bimi", "", "", "BIMI brand indicator", "draft-brand-indicators-for-message-identification"),
    ("atps", "**._atps", "", "", "authorized third-party signatures", "RFC 6541"),
    ("vouch", "**._vouch", "", "", "Vouch by Reference", "RFC 5518"),
    ("autodiscover", "autodiscover", "", "", "mail clients ask for it when an account is set up", "Microsoft Exchange Autodiscover"),
    ("autoconfig", "autoconfig", "", "", "mail clients ask for it when an account is set up", "Mozilla Thunderbird Autoconfiguration"),
    ("mailconf", "", "TXT", "text:mailconf=", "mail clients ask for it when an account is set up", "Mozilla Thunderbird Autoconfiguration"),
    // Certificates and keys.
    ("caa", "", "CAA", "", "restricts who may issue certificates; read only when one is issued, and missing means anyone may", "RFC 8659"),
    ("acme", "_acme-challenge", "", "", "ACME validation, asked only when a certificate is renewed", "RFC 8555 section 8.4"),
    ("acme", "**._acme-challenge", "", "", "ACME validation, asked only when a certificate is renewed", "draft-ietf-acme-dns-account-label"),
    ("acme", "_validation-persist", "", "", "persistent ACME validation, asked only when a certificate is renewed", "draft-ietf-acme-dns-persist"),
    ("validation-contact", "_validation-contactemail", "", "", "contact for certificate validation", "CA/Browser Forum Baseline Requirements, A.2"),
    ("validation-contact", "_validation-contactphone", "", "", "contact for certificate validation", "CA/Browser Forum Baseline Requirements, A.2"),
    ("validation-code", "_dnsauth", "", "", "certificate validation, asked only when a certificate is renewed", "DigiCert and Azure Front Door"),
    ("validation-code", "_pki-validation", "", "", "certificate validation, asked only when a certificate is renewed", "CA/Browser Forum Baseline Requirements"),
    ("tlsa", "", "TLSA", "", "pins a certificate (DANE); clients that support it are few", "RFC 6698"),
    ("sshfp", "", "SSHFP", "", "fingerprint of an SSH host key, asked only at the first connection", "RFC 4255"),
    ("openpgpkey", "", "OPENPGPKEY", "", "OpenPGP key of a person, asked when somebody writes to them", "RFC 7929"),
    ("openpgpkey", "openpgpkey", "A AAAA CNAME", "", "host of the OpenPGP Web Key Directory", "draft-koch-openpgp-webkey-service"),
    ("smimea", "", "SMIMEA", "", "S/MIME certificate of a person, asked when somebody writes to them", "RFC 8162"),
    ("cert", "", "CERT", "", "stored certificate", "RFC 4398"),
    ("ipseckey", "", "IPSECKEY", "", "IPsec key, asked only when a tunnel is opened", "RFC 4025"),
    ("hip", "", "HIP", "", "host identity", "RFC 8005"),
    ("dhcid", "", "DHCID", "", "tells DHCP servers which client owns a name", "RFC 4701"),
    // Services that clients find by name.
    ("active-directory", "**._msdcs", "", "", "locates domain controllers; clients cache what they found until it fails", "Microsoft MS-ADTS section 6.3.2"),
    ("active-directory", "**._sites", "", "", "locates domain controllers; clients cache what they found until it fails", "Microsoft MS-ADTS section 6.3.2"),
    ("active-directory", "domaindnszones", "", "", "locates the application partitions of a domain", "Microsoft MS-ADTS section 6.3.2"),
    ("active-directory", "forestdnszones", "", "", "locates the application partitions of a forest", "Microsoft MS-ADTS section 6.3.2"),
    ("srv", "", "SRV", "", "locates a service; many clients ask only when they are set up or when a server fails", "RFC 2782"),
    ("kerberos", "_kerberos", "TXT URI", "", "names the Kerberos realm of a domain", "MIT krb5 documentation, dns_lookup_realm"),
    ("kerberos", "_kerberos-*", "", "", "locates a Kerberos service", "RFC 4120 section 7.2.3"),
    ("kerberos", "_krb5kdc", "", "", "locates a Kerberos KDC", "draft-ietf-kitten-krb-service-discovery"),
    ("kerberos", "_krb5-*", "", "", "locates a Kerberos service", "draft-ietf-kitten-krb-service-discovery"),
    ("kerberos", "_kpasswd", "", "", "locates the Kerberos password service", "RFC 3244"),
    ("wpad", "wpad", "", "", "its absence or takeover redirects browsers' proxy settings", "draft-ietf-wrec-wpad"),
    ("isatap", "isatap", "", "", "its absence or takeover redirects hosts' IPv6 tunnels", "RFC 5214"),
    ("ptr", "", "PTR", "", "reverse mapping; asked by others' mail servers and logs, at their convenience", "RFC 1912 section 2.1"),
    ("dns-sd", "**._dns-sd._udp", "", "", "DNS-based service discovery", "RFC 6763"),
    ("amtrelay", "", "AMTRELAY", "", "locates a multicast relay", "RFC 8777"),
    ("resinfo", "", "RESINFO", "", "describes a resolver", "RFC 9606"),
    ("ddr", "_dns", "SVCB", "", "describes an encrypted resolver", "RFC 9461"),
    ("ddr", "*._dns", "SVCB", "", "describes an encrypted resolver", "RFC 9462"),
    ("lync", "lyncdiscover", "", "", "clients ask for it when they sign in", "Microsoft Skype for Business"),
    ("lync", "lyncdiscoverinternal", "", "", "clients ask for it when they sign in", "Microsoft Skype for Business"),
    ("lync", "sip", "CNAME", "", "clients fall back to it when they sign in", "Microsoft Skype for Business"),
    ("intune", "enterpriseregistration", "", "", "asked when a device is registered", "Microsoft Entra ID"),
    ("intune", "enterpriseenrollment", "", "", "asked when a device is enrolled", "Microsoft Intune"),
    ("msoid", "msoid", "", "", "directs sign-in of Microsoft 365 in China", "Microsoft 365"),
    ("domain-connect", "_domainconnect", "", "", "tells service providers who runs the zone", "domainconnect.org"),
    ("dnslink", "_dnslink", "", "", "points to content in IPFS", "dnslink.dev"),
    ("dnslink", "", "TXT", "text:dnslink=", "points to content in IPFS", "dnslink.dev"),
    ("atproto", "_atproto", "", "", "proves a handle of AT Protocol", "atproto.com, handle"),
    ("jabber", "_xmppconnect", "", "", "locates an XMPP service", "XEP-0156"),
    // Zones and policies.
    ("bootstrap", "**._dsboot", "", "", "authenticates DNSSEC bootstrapping", "RFC 9615"),
    ("bootstrap", "**._signal", "", "", "authenticates DNSSEC bootstrapping", "RFC 9615"),
    ("dsync", "", "DSYNC", "", "receives notifications about delegations", "RFC 9859"),
    ("dsync", "_dsync", "", "", "receives notifications about delegations", "RFC 9859"),
    ("dnssec-report", "**._er", "", "", "receives error reports of resolvers", "RFC 9567"),
    ("catalog", "version", "TXT", "text:2", "version of a catalog zone", "RFC 9432"),
    ("canary", "use-application-dns.net.", "", "", "switches DNS over HTTPS off in browsers by its answer", "Mozilla Firefox"),
    ("dnsbl-test", "2.0.0.127", "", "", "test entry of a DNS list", "RFC 5782 section 5"),
    ("psl", "_psl", "", "", "proves control for the Public Suffix List", "publicsuffix.org"),
    ("verification", "_github-challenge-*", "", "", "proves to GitHub who controls the domain", "GitHub"),
    ("verification", "_github-pages-challenge-*", "", "", "proves to GitHub who controls the domain", "GitHub Pages"),
    ("verification", "_gitlab-pages-verification-code", "", "", "proves to GitLab who controls the domain", "GitLab Pages"),
    ("verification", "asuid", "", "", "proves to Azure App Service who controls the domain", "Microsoft Azure"),
    ("verification", "_amazonses", "", "", "proves to Amazon SES who controls the domain", "Amazon SES"),
    ("verification", "_cf-custom-hostname", "", "", "proves to Cloudflare who controls the domain", "Cloudflare for SaaS"),
    ("verification", "_vercel", "", "", "proves to Vercel who controls the domain", "Vercel"),
    ("verification", "_*-challenge", "", "", "proves to a service who controls the domain", "draft-ietf-dnsop-domain-verification-techniques"),
    ("verification", "_discord", "", "", "proves to Discord who controls the domain", "Discord"),
    ("verification", "_mailchannels", "", "", "locks the senders of the domain", "MailChannels Domain Lockdown"),
];

/// Beginnings of verification TXT records, and the services that read them.
#[rustfmt::skip]
pub(super) const VERIFICATIONS: &[(&str, &str)] = &[
    ("google-site-verification=", "Google"), ("google-gws-recovery-domain-verification=", "Google Workspace"),
    ("MS=", "Microsoft 365"), ("v=msv1", "Microsoft 365"), ("v=verifydomain MS=", "Microsoft 365"),
    ("d365mktkey=", "Microsoft Dynamics 365"), ("facebook-domain-verification=", "Meta"),
    ("apple-domain-verification=", "Apple"), ("apple-domain=", "Apple"), ("adobe-idp-site-verification=", "Adobe"),
    ("adobe-sign-verification=", "Adobe Sign"), ("amazonses:", "Amazon SES"), ("atlassian-domain-verification=", "Atlassian"),
    ("atlassian-sending-domain-verification=", "Atlassian"), ("docusign=", "DocuSign"), ("docker-verification=", "Docker"),
    ("dropbox-domain-verification=", "Dropbox"), ("box-domain-verification=", "Box"), ("stripe-verification=", "Stripe"),
    ("slack-domain-verification=", "Slack"), ("zoom-domain-verification=", "Zoom"), ("ZOOM_verify_", "Zoom"),
    ("webexdomainverification", "Cisco Webex"), ("cisco-ci-domain-verification=", "Cisco"),
    ("ciscocidomainverification=", "Cisco"), ("citrix-verification-code=", "Citrix"), ("citrix.mobile.ads.otp=", "Citrix"),
    ("globalsign-domain-verification=", "GlobalSign"), ("_globalsign-domain-verification=", "GlobalSign"),
    ("globalsign-smime-dv=", "GlobalSign"), ("have-i-been-pwned-verification=", "Have I Been Pwned"),
    ("dnsimple-verification=", "DNSimple"), ("yandex-verification:", "Yandex"), ("yandex-verification=", "Yandex"),
    ("mailru-verification:", "Mail.ru"), ("mailru-domain:", "Mail.ru"), ("baidu-site-verification=", "Baidu"),
    ("pinterest-site-verification=", "Pinterest"), ("p:domain_verify", "Pinterest"), ("tiktok-domain-verification=", "TikTok"),
    ("tiktok-developers-site-verification=", "TikTok"), ("snapchat-domain-verification=", "Snapchat"),
    ("openai-domain-verification=", "OpenAI"), ("anthropic-domain-verification-", "Anthropic"),
    ("notion-domain-verification=", "Notion"), ("notion_verify_", "Notion"), ("miro-verification=", "Miro"),
    ("asv=", "Asana"), ("asana-domain-verification=", "Asana"), ("linear-domain-verification=", "Linear"),
    ("canva-site-verification=", "Canva"), ("figma-domain-verification=", "Figma"), ("airtable-verification=", "Airtable"),
    ("monday-com-verification=", "monday.com"), ("smartsheet-site-validation=", "Smartsheet"), ("wrike-verification=", "Wrike"),
    ("workplace-domain-verification=", "Workplace"), ("hubspot-developer-verification=", "HubSpot"),
    ("hubspot-domain-verification=", "HubSpot"), ("pardot", "Salesforce Pardot"), ("salesforce-domain-verification=", "Salesforce"),
    ("heroku-domain-verification=", "Heroku"), ("fastly-domain-delegation-", "Fastly"), ("cloudflare-verify=", "Cloudflare"),
    ("ca3-", "Cloudflare"), ("detectify-verification=", "Detectify"), ("bugcrowd-verification=", "Bugcrowd"),
    ("h1-domain-verification=", "HackerOne"), ("intigriti-verification=", "Intigriti"), ("security_contact=", "security researchers"),
    ("knowbe4-site-verification=", "KnowBe4"), ("mimecast=", "Mimecast"), ("proofpoint-verification=", "Proofpoint"),
    ("ppe-", "Proofpoint Essentials"), ("sophos-domain-verification=", "Sophos"), 
    ("onetrust-domain-verification=", "OneTrust"),
    ("status-page-domain-verification=", "Atlassian Statuspage"), ("teamviewer-sso-verification=", "TeamViewer"),
    ("logmein-verification-code=", "LogMeIn"), ("logmein-domain-confirmation", "LogMeIn"), ("gotomeeting", "GoTo"),
    ("uber-domain-verification=", "Uber"), ("rippling-domain-verification=", "Rippling"),
    ("lastpass-verification-code=", "LastPass"), ("1password-site-verification=", "1Password"),
    
    ("keybase-site-verification=", "Keybase"), ("brave-ledger-verification=", "Brave"), ("browserstack-domain-verification=", "BrowserStack"),
    ("postman-domain-verification=", "Postman"), ("jetbrains-domain-verification=", "JetBrains"), ("jamf-site-verification=", "Jamf"),
    ("mongodb-site-verification=", "MongoDB"), ("datadome-domain-verify=", "DataDome"), ("cursor-domain-verification", "Cursor"),
    ("mandrill_verify.", "Mailchimp"), ("sendinblue-code:", "Brevo"), ("sendgrid-verification=", "SendGrid"),
    ("klaviyo-site-verification=", "Klaviyo"), ("zoho-verification=", "Zoho"), ("protonmail-verification=", "Proton"),
    ("t-verify=", "Tuta"), ("hosted-email-verify=", "Migadu"),
    ("ahrefs-site-verification_", "Ahrefs"), ("semrush-verification", "Semrush"), ("alexa-site-verification=", "Alexa"),
    ("norton-safeweb-site-verification=", "Norton"), ("swisssign-check=", "SwissSign"), 
    ("thawte=", "DigiCert"), ("digicert-domain-verification=", "DigiCert"), 
    ("ssl-com-verification=", "SSL.com"), ("_dnsauth=", "DigiCert"), ("aliyun-site-verification=", "Alibaba Cloud"),
    ("tencent-domain-verification=", "Tencent Cloud"), ("wiz-domain-verification=", "Wiz"), ("vmware-cloud-verification-", "VMware"),
    ("drift-domain-verification=", "Drift"), ("loaderio=", "loader.io"),
    ("blitz=", "Blitz"), ("mixpanel-domain-verify=", "Mixpanel"), ("segment-site-verification=", "Segment"),
    ("calendly-site-verification=", "Calendly"), 
    ("favro-verification=", "Favro"), ("parkable-domain-verification=", "Parkable"), ("spycloud-domain-verification=", "SpyCloud"),
    ("*-verification=", "a service"), ("*-verification:", "a service"), ("*-verify=", "a service"),
    ("*-verification-code=", "a service"), ("*-site-validation=", "a service"),
    ("v=DKIM1", "mail receivers (DKIM)"), ("v=DMARC1", "mail receivers (DMARC)"), ("v=STSv1", "mail senders (MTA-STS)"),
    ("v=TLSRPTv1", "mail senders (TLSRPT)"), ("v=BIMI1", "mail receivers (BIMI)"), 
];

/// Names that CNAMEs of certificate validation point to, and who runs them.
#[rustfmt::skip]
pub(super) const VALIDATIONS: &[(&str, &str)] = &[
    ("acm-validations.aws.", "AWS Certificate Manager"), ("acm-validations.amazonaws.com.cn.", "AWS Certificate Manager"),
    ("dcv.digicert.com.", "DigiCert"), ("comodoca.com.", "Sectigo"), ("sectigo.com.", "Sectigo"),
    ("dcv.cloudflare.com.", "Cloudflare"), ("authorize.certificatemanager.goog.", "Google Certificate Manager"),
    ("fastly-validations.com.", "Fastly"), ("acme-dns.io.", "acme-dns"), ("validation.acme.sh.", "acme.sh"),
];
