# The state contains the password of Airflow's administrator: keep it in a private, versioned, encrypted bucket that is
# not one of those created here. You set its name and key in a copy of backend.tfbackend.example.
terraform {
  backend "s3" {
    endpoints    = { s3 = "https://storage.yandexcloud.net" }
    region       = "ru-central1"
    use_lockfile = true

    # Object Storage is not AWS.
    skip_region_validation      = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
    skip_s3_checksum            = true
  }
}
