terraform {
  required_version = ">= 1.11" # write-only arguments

  required_providers {
    yandex = {
      source  = "yandex-cloud/yandex"
      version = "~> 0.222.0" # before 1.0 each minor version may change arguments
    }
  }
}
