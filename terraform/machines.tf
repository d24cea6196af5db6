# Shared by both machines.

locals {
  # Object Storage has refused the checksums that newer S3 clients add by default.
  store_checksums = "AWS_REQUEST_CHECKSUM_CALCULATION=when_required\nAWS_RESPONSE_CHECKSUM_VALIDATION=when_required"
}

data "yandex_compute_image" "debian" {
  family = "debian-12" # Python 3.11, as in conda.yaml, and Java 17
}
