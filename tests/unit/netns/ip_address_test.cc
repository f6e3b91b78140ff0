#include "netns/ip_address.h"

#include "harness/harness.h"

namespace husk::netns {

TEST_CASE("addresses: canonical text, nothing but an address is accepted") {
  CHECK(IpAddress::parse("10.88.0.1").value().text() == "10.88.0.1");
  CHECK(IpAddress::parse("FD00:0:0:0:0:0:0:1").value().text() == "fd00::1");
  CHECK(IpAddress::parse("0.0.0.0").value().is_unspecified());
  CHECK(IpAddress::parse("::").value().is_unspecified());
  for (const std::string_view bad : {"", "10.88.0", "10.88.0.256", "10.88.0.1 ", "010.1.1.1", "10.88.0.1/16", "::g", "a",
                                     ":", "1.2.3.4.5", "fe80::1%eth0"}) {
    CAPTURE(bad);
    CHECK(IpAddress::parse(bad).error().kind() == Kind::invalid);
  }
  CHECK(!IpAddress::parse(std::string_view{"10.0.0.1\0x", 10}).has_value());
}

TEST_CASE("subnets: prefix in range and no host bits") {
  CHECK(Subnet::parse("10.88.0.0/16").value().text() == "10.88.0.0/16");
  CHECK(Subnet::parse("fd00:88::/64").value().host_bits() == 64);
  for (const std::string_view bad : {"10.88.0.0", "10.88.0.0/", "10.88.0.0/33", "10.88.0.0/-1", "10.88.0.0/1x", "/16",
                                     "10.88.0.1/16", "fd00::/129", "fd00::1/64"}) {
    CAPTURE(bad);
    CHECK(Subnet::parse(bad).error().kind() == Kind::invalid);
  }
  CHECK(Subnet::parse("10.88.0.7/16").error().hint_text() == "the network is 10.88.0.0/16");
}

TEST_CASE("the n-th address carries over byte boundaries") {
  const auto v4 = Subnet::parse("10.88.0.0/16").value();
  CHECK(v4.at(2).text() == "10.88.0.2");
  CHECK(v4.at(256).text() == "10.88.1.0");
  CHECK(v4.at(65534).text() == "10.88.255.254");
  const auto v6 = Subnet::parse("fd00:88::/64").value();
  CHECK(v6.at(65536).text() == "fd00:88::1:0");
}

TEST_CASE("containment and overlap compare bits, not text") {
  const auto wide = Subnet::parse("10.88.0.0/13").value();
  const auto inner = Subnet::parse("10.95.255.0/24").value();
  const auto outside = Subnet::parse("10.96.0.0/24").value();
  CHECK(wide.contains(IpAddress::parse("10.95.255.255").value()));
  CHECK(!wide.contains(IpAddress::parse("10.96.0.0").value()));
  CHECK(wide.overlaps(inner));
  CHECK(inner.overlaps(wide));
  CHECK(!wide.overlaps(outside));
  CHECK(!wide.overlaps(Subnet::parse("fd00::/64").value()));
  CHECK(Subnet::parse("0.0.0.0/0").value().overlaps(wide));
}

}  // namespace husk::netns
