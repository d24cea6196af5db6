# What both machines have in common besides modules/machine.

locals {
  # Object Storage has refused the checksums that newer clients of S3 add by themselves.
  store_checksums = "AWS_REQUEST_CHECKSUM_CALCULATION=when_required\nAWS_RESPONSE_CHECKSUM_VALIDATION=when_required"
}

data "yandex_compute_image" "debian" {
  family = "debian-12" # Python 3.11, as in conda.yaml, and Java 17
}
